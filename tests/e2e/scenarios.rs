//! What has to hold, one function each. Their names are sentences.

pub(crate) mod access;
pub(crate) mod bad_input;
pub(crate) mod batches;
pub(crate) mod beginnings;
pub(crate) mod books;
pub(crate) mod commands;
pub(crate) mod discovery;
pub(crate) mod drift;
pub(crate) mod figures;
pub(crate) mod many;
pub(crate) mod principals;
pub(crate) mod remediation;
pub(crate) mod tokens;
pub(crate) mod twice;
pub(crate) mod webhooks;
