//! Where text goes: results to the output, everything else to the error output. Quiet wherever nobody is looking.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, BufRead, Read, Write};

use crate::failure::Failure;

/// Who is looking.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terminal {
    /// The width of the terminal that the output is, if it is one.
    pub out: Option<usize>,
    /// Whether the error output is a terminal.
    pub err: bool,
    /// Whether the input is a terminal.
    pub input: bool,
}

/// The three streams of a process.
pub struct Console {
    out: RefCell<Box<dyn Write>>,
    err: RefCell<Box<dyn Write>>,
    input: RefCell<Box<dyn BufRead>>,
    terminal: Terminal,
    color: bool,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("terminal", &self.terminal).finish_non_exhaustive()
    }
}

impl Console {
    /// A console on these streams. There is colour on a terminal only, and not where it is not wanted.
    pub fn new(
        out: impl Write + 'static,
        err: impl Write + 'static,
        input: impl BufRead + 'static,
        terminal: Terminal,
        no_color: bool,
    ) -> Self {
        Self {
            out: RefCell::new(Box::new(out)),
            err: RefCell::new(Box::new(err)),
            input: RefCell::new(Box::new(input)),
            terminal,
            color: terminal.out.is_some() && !no_color,
        }
    }

    /// The width of the terminal, if somebody looks at the output.
    pub(crate) const fn width(&self) -> Option<usize> {
        self.terminal.out
    }

    /// Whether there is colour.
    pub(crate) const fn color(&self) -> bool {
        self.color
    }

    /// Whether somebody looks on: at results, and at how far something has got.
    pub(crate) const fn is_watched(&self) -> bool {
        self.terminal.out.is_some() && self.terminal.err
    }

    /// Whether there is somebody to be asked. Whose output goes elsewhere is a script.
    pub(crate) const fn is_attended(&self) -> bool {
        self.terminal.input && self.is_watched()
    }

    /// Writes a part of the result, as it is.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        let mut out = self.out.borrow_mut();
        Ok(out.write_all(text.as_bytes()).and_then(|()| out.flush())?)
    }

    /// Writes a line of the result.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        self.text(&format!("{text}\n"))
    }

    /// Writes what is no result, as it is. That nobody can be told is no reason to do anything else.
    pub(crate) fn note(&self, text: &str) {
        let _ = self.tell(text);
    }

    fn tell(&self, text: &str) -> io::Result<()> {
        let mut err = self.err.borrow_mut();
        err.write_all(text.as_bytes()).and_then(|()| err.flush())
    }

    /// Asks a question. Everything but a yes is a no, and who cannot be asked has not said yes.
    pub(crate) fn confirmed(&self, question: &str) -> Result<bool, Failure> {
        let mut answer = String::new();
        self.tell(&format!("{question} [y/N] "))
            .and_then(|()| self.input.borrow_mut().read_line(&mut answer))
            .map_err(|error| Failure::Io(format!("nobody can be asked: {error}")))?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// All that comes in.
    pub(crate) fn read(&self) -> Result<String, Failure> {
        let mut text = String::new();
        self.input.borrow_mut().read_to_string(&mut text)?;
        Ok(text)
    }
}
