//! Patterns in which `*` stands for any text and `?` for any one character, as in EC2's filters.

/// The text is what the pattern stands for.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // The last `*` met, and where in the text what follows it was last tried.
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((after, tried)) = star else { return false };
                star = Some((after, tried + 1));
                (p, t) = (after, tried + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_is_any_text_and_a_question_mark_any_one_character() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("m5zn.metal", "m5zn.metal"),
            ("m5zn.*", "m5zn.metal"),
            ("m?.*", "m5.large"),
            ("*.metal*", "m5.metal-24xl"),
            ("a*b*c", "aXbXbc"),
            ("**", "x"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "x"),
            ("?", ""),
            ("c5.*", "c5d.large"),
            ("*.metal", "m5.metal-24xl"),
            ("a*b", "abc"),
            ("m?.*", "m.x"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
