//! Laws of keeping user data.

use app::ports::UserDataVault;
use domain::UserData;

use crate::Subject;

fn data(text: &str) -> UserData {
    text.parse().expect("user data")
}

/// Without it a launch would go without what was asked for, or with what was asked for before.
pub async fn user_data_is_kept_until_it_is_forgotten(subject: &impl Subject) {
    let (vault, worker) = (subject.user_data(), subject.new_worker());
    assert_eq!(vault.kept(worker).await.expect("read"), None);
    vault.keep(worker, &data("#!/bin/sh\necho one\n"), subject.now()).await.expect("kept");
    vault.keep(worker, &data("#cloud-config\nlength: ß\u{0}\n"), subject.now()).await.expect("kept");
    let kept = vault.kept(worker).await.expect("read");
    assert_eq!(kept, Some(data("#cloud-config\nlength: ß\u{0}\n")), "the last, to the byte");
    assert_eq!(vault.kept(subject.new_worker()).await.expect("read"), None, "nobody else's");
    for _ in 0..2 {
        vault.forget(worker).await.expect("no error");
        assert_eq!(vault.kept(worker).await.expect("read"), None);
    }
}

/// Without it user data that EC2 takes could not be used.
pub async fn the_longest_user_data_fits(subject: &impl Subject) {
    let (vault, worker) = (subject.user_data(), subject.new_worker());
    let longest = data(&"x".repeat(UserData::MAX_BYTES));
    vault.keep(worker, &longest, subject.now()).await.expect("kept");
    assert_eq!(vault.kept(worker).await.expect("read"), Some(longest));
}
