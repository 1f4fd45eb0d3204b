//! A fleet to talk to, and a command line to talk with.

mod fleet;
mod outside;
/// The outside that the tests of the routes have, too.
#[path = "../../../tests/support"]
#[expect(dead_code, reason = "they need more of it")]
mod shared {
    pub(crate) mod world;
}

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{self, Cursor, Write};
use std::rc::Rc;

use cml_fleet::{Console, Environment, Terminal};

pub(crate) use fleet::{ADMIN, Fleet, ec2_says};
pub(crate) use outside::Outside;
pub(crate) use shared::world::World;

/// What a command line left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Its output, if all went well and nothing was said beside.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }

    /// The output as JSON.
    #[track_caller]
    pub(crate) fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.ok()).expect("JSON")
    }
}

/// Who runs it, and where.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) variables: Vec<(&'static str, &'static str)>,
    pub(crate) terminal: Terminal,
    pub(crate) input: &'static str,
    pub(crate) outside: Outside,
}

impl Default for Person {
    /// A script of an admin.
    fn default() -> Self {
        Self {
            variables: vec![("CML_FLEET_TOKEN", ADMIN)],
            terminal: Terminal::default(),
            input: "",
            outside: Outside::default(),
        }
    }
}

impl Person {
    /// Somebody at a terminal, who answers like this.
    pub(crate) fn at_a_terminal(input: &'static str) -> Self {
        let terminal = Terminal { out: Some(120), err: true, input: true };
        Self {
            variables: vec![("CML_FLEET_TOKEN", ADMIN), ("NO_COLOR", "1")],
            terminal,
            input,
            ..Self::default()
        }
    }

    /// The same somebody, whose output, error output or input may be no terminal.
    pub(crate) fn with_terminals([out, err, input]: [bool; 3]) -> Self {
        let terminal = Terminal { out: out.then_some(120), err, input };
        Self { terminal, ..Self::at_a_terminal("y\n") }
    }

    /// A script with these variables and no others.
    pub(crate) fn with(variables: &[(&'static str, &'static str)]) -> Self {
        Self { variables: variables.to_vec(), ..Self::default() }
    }

    /// Runs a command line as it is.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ran {
        let (out, err) = (Pipe::default(), Pipe::default());
        let code = self.run_into(out.clone(), err.clone(), arguments).await;
        Ran { code, out: out.text(), err: err.text() }
    }

    /// The same, with its output going somewhere else.
    pub(crate) async fn run_into(
        &self,
        out: impl Write + 'static,
        err: impl Write + 'static,
        arguments: &[&str],
    ) -> u8 {
        let environment = Environment::read(|name| {
            let found = self.variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        let input = Cursor::new(self.input);
        let console = Console::new(out, err, input, self.terminal, environment.no_color);
        let arguments = ["cml-fleet"].iter().chain(arguments).map(OsString::from);
        cml_fleet::run(arguments, &environment, &self.outside, &console).await
    }
}

/// Text that was written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pipe(Rc<RefCell<Vec<u8>>>);

impl Pipe {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).expect("UTF-8")
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A pipe that nobody reads any more after this many bytes.
#[derive(Debug)]
pub(crate) struct Closing(pub(crate) usize);

impl Write for Closing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        if taken == 0 { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
