//! The log, as each test sees its own: a test runs on one thread.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Once;

use serde_json::Value;

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

/// Begins to listen. Before the first request of any test: what logs first decides whether a line is ever listened to.
pub(super) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let format = tracing_subscriber::fmt().json().flatten_event(true).with_target(false);
        format.with_writer(|| Lines).init();
    });
}

/// The lines of this test since the last call, without their time.
pub(crate) fn take() -> Vec<Value> {
    let bytes = BYTES.take();
    let text = String::from_utf8(bytes).expect("UTF-8");
    let lines = text.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        line.as_object_mut().expect("an object").remove("timestamp");
        line
    });
    lines.collect()
}
