//! Columns: aligned under a heading on a terminal, parted by tabs elsewhere.

use console::{Alignment, measure_text_width, pad_str, style, truncate_str};

use crate::console::Console;
use crate::failure::Failure;

/// What parts two columns on a terminal.
const GAP: &str = "  ";

/// Rows under a heading.
#[derive(Debug)]
pub(crate) struct Table {
    heading: Option<Vec<&'static str>>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(heading: &[&'static str]) -> Self {
        Self { heading: Some(heading.to_vec()), rows: Vec::new() }
    }

    /// A table whose first column says what the second one is.
    pub(crate) fn of_pairs() -> Self {
        Self { heading: None, rows: Vec::new() }
    }

    /// The same rows, under a heading that was shown before.
    pub(crate) fn continued(self) -> Self {
        Self { heading: None, ..self }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| plain(&cell)).collect());
    }

    pub(crate) fn write(&self, console: &Console) -> Result<(), Failure> {
        console.text(&self.text(console))
    }

    /// All of it, as this console is to see it.
    pub(crate) fn text(&self, console: &Console) -> String {
        let Some(width) = console.width() else {
            return self.rows.iter().map(|row| row.join("\t") + "\n").collect();
        };
        let heading: Option<Vec<String>> =
            self.heading.as_ref().map(|cells| cells.iter().map(|cell| (*cell).to_owned()).collect());
        let mut widths = Vec::new();
        for row in heading.iter().chain(&self.rows) {
            widths.resize(row.len().max(widths.len()), 0);
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = measure_text_width(cell).max(*widest);
            }
        }
        let mut text = String::new();
        if let Some(heading) = &heading {
            let line = aligned(heading, &widths, width, |_, padded| padded);
            let bold = style(&line).bold().force_styling(true).to_string();
            text += if console.color() { &bold } else { &line };
            text.push('\n');
        }
        for row in &self.rows {
            text +=
                &aligned(
                    row,
                    &widths,
                    width,
                    |cell, padded| {
                        if console.color() { tinted(cell, padded) } else { padded }
                    },
                );
            text.push('\n');
        }
        text
    }
}

/// One line, not wider than the terminal.
fn aligned(
    cells: &[String],
    widths: &[usize],
    width: usize,
    paint: impl Fn(&str, String) -> String,
) -> String {
    let last = cells.len().saturating_sub(1);
    let cells = cells.iter().zip(widths).enumerate().map(|(index, (cell, widest))| {
        let widest = if index == last { 0 } else { *widest };
        paint(cell, pad_str(cell, widest, Alignment::Left, None).into_owned())
    });
    truncate_str(&cells.collect::<Vec<_>>().join(GAP), width, "…").into_owned()
}

/// A cell whose word calls for attention, in colour.
fn tinted(word: &str, padded: String) -> String {
    let styled = match word {
        "failed" | "refused" => style(padded).red(),
        "unknown" | "superseded" | "cancelled" => style(padded).yellow(),
        "running" | "imported" | "asked" => style(padded).green(),
        _ => return padded,
    };
    styled.force_styling(true).to_string()
}

/// A cell for what may not be there.
pub(crate) fn dash(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}

/// A text without what would move the cursor or break the line. Much of what is shown was written by others.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::console::Terminal;

    fn console(width: Option<usize>, no_color: bool) -> Console {
        let terminal = Terminal { out: width, err: false, input: false };
        Console::new(io::sink(), io::sink(), io::empty(), terminal, no_color)
    }

    #[test]
    fn columns_are_aligned_on_a_terminal_and_parted_by_tabs_elsewhere() {
        let mut table = Table::new(&["NAME", "STATUS"]);
        table.row(["a".to_owned(), "running".to_owned()]);
        table.row(["länger".to_owned(), "failed".to_owned()]);
        let plain = table.text(&console(Some(80), true));
        assert_eq!(plain, "NAME    STATUS\na       running\nlänger  failed\n");
        assert_eq!(table.text(&console(None, false)), "a\trunning\nlänger\tfailed\n");
        assert_eq!(table.text(&console(Some(10), true)), "NAME    S…\na       r…\nlänger  f…\n");
        let colored = table.text(&console(Some(80), false));
        assert!(colored.contains("a       \u{1b}[32mrunning\u{1b}[0m\n"), "{colored:?}");
    }

    #[test]
    fn what_others_wrote_neither_moves_the_cursor_nor_makes_columns() {
        let mut table = Table::of_pairs();
        table.row(["reason".to_owned(), "a\tb\nc\u{1b}[2J".to_owned()]);
        assert_eq!(table.text(&console(None, false)), "reason\ta b c [2J\n");
    }
}
