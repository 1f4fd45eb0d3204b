//! How `watch`, `events --follow` and `bulk` wait: until something has come about, or the end that was said.

use app::ports::{Clock, Ids};

use crate::args::Output;
use crate::client::Client;
use crate::failure::Failure;

/// A wait. What is asked meanwhile may stay without an answer for as long as the wait lasts.
pub(crate) struct Wait<'a, 'c, O> {
    client: &'a Client<'c, O>,
    output: Output,
    /// When it is over, in milliseconds, if that was said.
    end: Option<u64>,
    /// Why the last question had no answer, if it had none.
    outage: Option<Failure>,
}

impl<'a, 'c, O: Clock + Ids> Wait<'a, 'c, O> {
    /// A wait that begins now, and is over after so many seconds.
    pub(crate) fn new(client: &'a Client<'c, O>, timeout: Option<u64>, output: Output) -> Self {
        let end = timeout.map(|timeout| client.millis() + timeout * 1000);
        Self { client, output, end, outage: None }
    }

    /// When it is over, in milliseconds.
    pub(crate) const fn end(&self) -> Option<u64> {
        self.end
    }

    /// Whether it is over. If nobody knows how things stand by then, that is how it ends.
    pub(crate) fn is_over(&mut self) -> Result<bool, Failure> {
        let over = self.end.is_some_and(|end| self.client.millis() >= end);
        match self.outage.take_if(|_| over) {
            Some(failure) => Err(failure),
            None => Ok(over),
        }
    }

    /// Lets so many milliseconds pass, but none beyond the end.
    pub(crate) async fn pause(&self, millis: u64) {
        let left = self.end.map_or(u64::MAX, |end| end.saturating_sub(self.client.millis()));
        self.client.outside.sleep(millis.min(left)).await;
    }

    /// What was answered, if anything was. That there was nothing is told once, and not again before there is an answer.
    pub(crate) fn heard<T>(&mut self, asked: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match asked {
            Ok(answer) => {
                self.outage = None;
                Ok(Some(answer))
            }
            Err(failure) if failure.may_pass() => {
                if self.outage.is_none() {
                    failure.tell(self.client.console, self.output);
                }
                self.outage = Some(failure);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }
}
