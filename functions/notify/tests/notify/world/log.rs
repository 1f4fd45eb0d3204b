//! The log, as each test sees its own: a test runs on one thread.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Once;

use tracing_subscriber::filter::LevelFilter;

thread_local! {
    static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        BYTES.with_borrow_mut(|log| log.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Begins to listen. Before any test does anything: what logs first decides whether a line is ever listened to.
pub(super) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let format = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false);
        format.with_writer(|| Lines).init();
    });
}

/// What this test has logged since the last call.
pub(crate) fn take() -> String {
    String::from_utf8(BYTES.take()).expect("text")
}
