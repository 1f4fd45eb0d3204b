//! Laws of buckets.

use app::ports::{BucketKey, Buckets};
use domain::{ActionKind, Level, Timestamp};
use futures_util::future::join_all;

use crate::{Subject, after};

fn key(subject: &impl Subject) -> BucketKey {
    BucketKey { account: subject.account(), region: subject.new_region(), action: ActionKind::Start }
}

/// Full again after so many seconds, and some milliseconds.
fn level(calls: i64, workers: i64) -> Level {
    let start = Timestamp::from_millisecond(1_780_000_000_007).expect("a time");
    Level { calls_full_at: after(start, calls), workers_full_at: after(start, workers) }
}

async fn draw(subject: &impl Subject, key: &BucketKey, before: Option<Level>, after: Level) -> bool {
    subject.buckets().draw(key, before, after).await.expect("answered")
}

async fn left(subject: &impl Subject, key: &BucketKey) -> Option<Level> {
    subject.buckets().level(key).await.expect("read")
}

/// Without it what was drawn would be drawn again.
pub async fn what_was_drawn_is_known_at_once(subject: &impl Subject) {
    let key = key(subject);
    assert_eq!(left(subject, &key).await, None, "nobody has drawn");
    let (first, second) = (level(1, 2), level(3, 4));
    assert!(draw(subject, &key, None, first).await);
    assert_eq!(left(subject, &key).await, Some(first));
    assert!(draw(subject, &key, Some(first), second).await);
    assert_eq!(left(subject, &key).await, Some(second));
}

/// Without it two would be admitted with one token.
pub async fn a_draw_on_what_is_left_no_more_writes_nothing(subject: &impl Subject) {
    let key = key(subject);
    let (first, second) = (level(1, 2), level(3, 4));
    assert!(!draw(subject, &key, Some(first), second).await, "there is nothing to draw on");
    assert_eq!(left(subject, &key).await, None);
    assert!(draw(subject, &key, None, first).await);
    for stale in [None, Some(second), Some(level(1, 4)), Some(level(3, 2))] {
        assert!(!draw(subject, &key, stale, second).await, "{stale:?}");
        assert_eq!(left(subject, &key).await, Some(first), "{stale:?}");
    }
}

/// Without it the write would take nothing out.
pub async fn of_many_who_draw_at_once_one_gets_it(subject: &impl Subject) {
    let key = key(subject);
    for before in [None, Some(level(1, 1))] {
        if before.is_some() {
            assert!(draw(subject, &key, left(subject, &key).await, level(1, 1)).await);
        }
        let draws = join_all((2..10).map(|n| draw(subject, &key, before, level(n, n)))).await;
        assert_eq!(draws.into_iter().filter(|drawn| *drawn).count(), 1, "{before:?}");
    }
}

/// Without it a bulk of stops would hold up the starts, or one region another.
pub async fn buckets_have_nothing_to_do_with_each_other(subject: &impl Subject) {
    let starts = key(subject);
    let stops = BucketKey { action: ActionKind::Stop, ..starts.clone() };
    let elsewhere = BucketKey { region: subject.new_region(), ..starts.clone() };
    let other_account = "999999999999".parse().expect("an account");
    let others = BucketKey { account: other_account, ..starts.clone() };
    assert!(draw(subject, &starts, None, level(1, 2)).await);
    for key in [stops, elsewhere, others] {
        assert_eq!(left(subject, &key).await, None, "{key:?}");
    }
}
