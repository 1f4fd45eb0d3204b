//! Laws that an adapter is known to break, and how.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

/// Where an adapter is known to break a law.
#[derive(Debug)]
pub struct Known {
    /// The law, as `module::law`.
    pub law: &'static str,
    /// A part of what the law says when it is broken so. Whatever else it says, and a call that fails, is not known.
    pub says: &'static str,
    /// Why, and what is true.
    pub reason: &'static str,
}

impl Known {
    /// Tries the law where it is known not to hold.
    ///
    /// # Panics
    /// If it holds after all, or is broken in another way.
    pub async fn breaks(&self, law: impl Future<Output = ()>) {
        let Self { law: name, says, reason } = self;
        let said = breach(law).await;
        let said = said.unwrap_or_else(|| panic!("{name} holds here: it is known no more ({reason})"));
        assert!(said.contains(says), "{name} is broken in another way than is known ({says}): {said}");
    }
}

/// What a law says that is broken, found out without failing; `None` if it holds.
pub async fn breach(law: impl Future<Output = ()>) -> Option<String> {
    let said = AssertUnwindSafe(law).catch_unwind().await.err()?;
    let said = said
        .downcast::<String>()
        .map(|text| *text)
        .or_else(|said| said.downcast::<&str>().map(|text| (*text).to_owned()));
    Some(said.unwrap_or_default())
}
