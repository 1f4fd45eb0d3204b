//! Texts from outside, made safe to put into a message.

use domain::is_hidden;

/// The longest text from outside that is repeated in a notice, in characters.
const LONGEST: usize = 600;

/// A text from outside (EC2's reasons, callers' names) on one line, without characters that could start another
/// line, hide text or turn it round, and not longer than a person would read.
pub(super) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len().min(LONGEST * 4));
    let mut length = 0;
    for c in text.trim().chars() {
        if length == LONGEST {
            cleaned.push('…');
            break;
        }
        if is_hidden(c) {
            continue;
        }
        cleaned.push(if c.is_control() || c.is_whitespace() { ' ' } else { c });
        length += 1;
    }
    cleaned
}

/// The first characters of a text; an ellipsis says that there is more.
pub(super) fn shortened(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        None => text.to_owned(),
        Some(_) => text.chars().take(characters.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// A subject line as SNS takes it: printable ASCII, under 100 characters.
pub(super) fn subject(text: &str) -> String {
    let ascii = text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' });
    let line: String = ascii.take(100).collect();
    if line.len() < 100 { line } else { format!("{}...", &line[..96]) }
}

/// A text for a chat: it cannot mention anybody, and it has no formatting of its own.
///
/// Slack's control characters `&`, `<` and `>` become entities, which also takes `<!channel>` and links apart (Slack
/// API, "Formatting text for app surfaces"); the marks of Markdown become similar characters without a meaning.
pub(super) fn chat(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '*' => safe.push('∗'),
            '`' => safe.push('\''),
            '~' => safe.push('∼'),
            '[' => safe.push('('),
            ']' => safe.push(')'),
            // The word joiner is invisible and keeps the word from being the name of a group.
            '@' if !before.is_alphanumeric() && mentions_a_group(&rest[1..]) => safe.push_str("@\u{2060}"),
            _ => safe.push(c),
        }
        rest = &rest[c.len_utf8()..];
        before = c;
    }
    safe
}

fn mentions_a_group(after: &str) -> bool {
    let word: String = after.chars().take_while(char::is_ascii_alphabetic).collect();
    ["here", "channel", "everyone", "all", "team"].iter().any(|group| word.eq_ignore_ascii_case(group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_outside_stays_on_its_line_and_shows_all_it_has() {
        assert_eq!(clean("a\r\nSubject: b\t\u{0}c\u{1b}[31m"), "a  Subject: b  c [31m");
        assert_eq!(clean("\u{202e}evil\u{200b}\u{feff} "), "evil");
        assert_eq!(clean(&"x".repeat(5000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_chat_text_mentions_nobody_and_formats_nothing() {
        assert_eq!(
            chat("<!channel> & *x* `y` [z](https://e.test) @here @Everyone a@here.test @heres"),
            "&lt;!channel&gt; &amp; ∗x∗ 'y' (z)(https://e.test) @\u{2060}here @\u{2060}Everyone a@here.test @heres"
        );
    }

    #[test]
    fn a_subject_is_short_ascii() {
        assert_eq!(subject("überlang\n"), "?berlang?");
        let long = subject(&"x".repeat(300));
        assert!(long.len() < 100 && long.ends_with("..."), "{long}");
        assert_eq!(subject(&"x".repeat(99)).len(), 99);
    }

    #[test]
    fn a_shortened_text_says_that_there_is_more() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüß", 3), "äö…");
    }
}
