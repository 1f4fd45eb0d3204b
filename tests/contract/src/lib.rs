//! What every adapter of a port promises, as laws that any adapter can be held to.
//!
//! A law is a function over a [`Subject`], one adapter of each port, and panics where the adapter breaks it. The same laws run
//! on the account in memory, which the scenarios believe, on the simulator's ports while nothing fails, and on the real
//! adapters before the emulators of AWS. So these are known to be like the wire code, and the wire code like what the use
//! cases expect.
//!
//! A law whose truth is AWS's and not ours names AWS's documentation. Laws share their tables with each other: each names
//! its own workers, regions and notices, and asserts nothing about anybody else's.
#![expect(clippy::expect_used, reason = "a law that cannot be tried is not kept")]

pub mod actuator;
pub mod buckets;
pub mod bus;
pub mod commands;
pub mod compute;
pub mod deliveries;
pub mod idempotency;
mod known;
pub mod listing;
mod made;
pub mod metrics;
pub mod samples;
pub mod saving;
pub mod secrets;
pub mod sweeps;
pub mod topic;
pub mod vault;
pub mod webhooks;

use app::ports::{
    Actuator, Buckets, BulkCommands, Bus, Clock, Compute, Deliveries, Idempotency, Ids, Metrics, Samples,
    Secrets, Sweeps, Topic, UserDataVault, WebhookAnswer, WebhookRequest, Webhooks, Workers,
};
use domain::{AccountId, InstanceId, Name, Region, Timestamp, WorkerId};
use jiff::SignedDuration;

pub use known::{Known, breach};

/// How often something eventual is looked at, and how long the pause between is, in milliseconds: 20 seconds in all.
const LOOKS: u32 = 200;
const PAUSE: u64 = 100;

/// One adapter of each port, and what a law needs to try them.
pub trait Subject: Sync {
    /// Workers and their facts.
    type Workers: Workers;
    /// Telemetry.
    type Samples: Samples;
    /// Heartbeats.
    type Sweeps: Sweeps;
    /// Buckets.
    type Buckets: Buckets;
    /// Commands for many workers.
    type Commands: BulkCommands;
    /// Idempotency records.
    type Idempotency: Idempotency;
    /// User data until the launch.
    type UserData: UserDataVault;
    /// The delivery ledger.
    type Deliveries: Deliveries;
    /// Reading EC2.
    type Compute: Compute;
    /// Changing EC2.
    type Actuator: Actuator;
    /// Reading CloudWatch.
    type Metrics: Metrics;
    /// The bus.
    type Bus: Bus;
    /// The topic.
    type Topic: Topic;
    /// Sending webhooks, to receivers on this machine as well.
    type Webhooks: Webhooks;
    /// The secret that signs them.
    type Secrets: Secrets;
    /// The clock.
    type Clock: Clock;
    /// New identities.
    type Ids: Ids;

    /// Workers and their facts.
    fn workers(&self) -> &Self::Workers;
    /// Telemetry.
    fn samples(&self) -> &Self::Samples;
    /// Heartbeats.
    fn sweeps(&self) -> &Self::Sweeps;
    /// Buckets.
    fn buckets(&self) -> &Self::Buckets;
    /// Commands for many workers.
    fn commands(&self) -> &Self::Commands;
    /// Idempotency records.
    fn idempotency(&self) -> &Self::Idempotency;
    /// User data until the launch.
    fn user_data(&self) -> &Self::UserData;
    /// The delivery ledger.
    fn deliveries(&self) -> &Self::Deliveries;
    /// Reading EC2.
    fn compute(&self) -> &Self::Compute;
    /// Changing EC2.
    fn actuator(&self) -> &Self::Actuator;
    /// Reading CloudWatch.
    fn metrics(&self) -> &Self::Metrics;
    /// The bus.
    fn bus(&self) -> &Self::Bus;
    /// The topic.
    fn topic(&self) -> &Self::Topic;
    /// Sending webhooks.
    fn webhooks(&self) -> &Self::Webhooks;
    /// The secret that signs them, which was put.
    fn secrets(&self) -> &Self::Secrets;
    /// The clock.
    fn clock(&self) -> &Self::Clock;
    /// New identities.
    fn ids(&self) -> &Self::Ids;

    /// The account everything is in.
    fn account(&self) -> AccountId;
    /// A region that has an EC2.
    fn region(&self) -> Region;
    /// An image that can be launched there.
    fn image(&self) -> String;
    /// A running instance there whose processor use CloudWatch has been told of within the last minutes.
    fn measured(&self) -> impl Future<Output = InstanceId>;

    /// The URL of a new webhook receiver that gives every request this answer, or none. Whom it redirects, it redirects to itself.
    fn receiver(&self, answer: Option<WebhookAnswer>) -> String;
    /// The requests that reached the receiver at this URL.
    fn received(&self, url: &str) -> Vec<WebhookRequest>;
    /// What was put as the secret.
    fn secret_as_put(&self) -> String;
    /// Secrets of which nobody put the one that signs. A law asks for no other afterwards.
    fn secrets_without_one(&self) -> &Self::Secrets;

    /// Now.
    fn now(&self) -> Timestamp {
        self.clock().now()
    }

    /// A worker nobody has heard of.
    fn new_worker(&self) -> WorkerId {
        self.ids().worker_id()
    }

    /// A name nobody has.
    fn new_name(&self) -> Name {
        format!("law-{}", self.new_worker()).parse().expect("a name")
    }

    /// An instance id that is nobody's.
    fn new_instance(&self) -> InstanceId {
        format!("i-f{:016x}", self.new_worker().stable_hash()).parse().expect("an instance id")
    }

    /// A region in which nobody has a worker. The tables take any that could be one; EC2 does not.
    fn new_region(&self) -> Region {
        let mut number = self.new_worker().stable_hash();
        let letters = (0..14).map(|_| {
            let letter = b'a' + u8::try_from(number % 26).unwrap_or(0);
            number /= 26;
            char::from(letter)
        });
        format!("law-{}-1", letters.collect::<String>()).parse().expect("a region")
    }

    /// Looks until there is something to see: what an index, EC2 or CloudWatch knows, it knows a moment later.
    ///
    /// # Panics
    /// If it never comes.
    fn eventually<T, F: Future<Output = Option<T>>>(
        &self,
        what: &str,
        look: impl Fn() -> F,
    ) -> impl Future<Output = T> {
        async move {
            for _ in 0..LOOKS {
                if let Some(seen) = look().await {
                    return seen;
                }
                self.clock().sleep(PAUSE).await;
            }
            panic!("it never came to this: {what}");
        }
    }
}

/// This many seconds later; or earlier, if negative.
fn after(at: Timestamp, seconds: i64) -> Timestamp {
    at.saturating_add(SignedDuration::from_secs(seconds)).expect("a time")
}

/// Calls a macro with the laws of each module in turn: `$each! { module: law, law, ... }`.
#[macro_export]
macro_rules! every_law {
    ($each:ident) => {
        $each! { saving:
            a_saved_worker_is_loaded_as_it_was,
            creating_twice_conflicts_and_changes_nothing,
            a_stale_version_conflicts_and_writes_nothing,
            of_many_saves_on_one_version_one_wins,
            a_taken_name_leaves_nothing_behind,
            a_taken_instance_leaves_nothing_behind,
            a_renamed_worker_frees_its_old_name_and_holds_its_new_one,
            renaming_to_a_taken_name_changes_nothing,
            an_ended_worker_frees_its_name_and_its_instance,
        }
        $each! { listing:
            many_workers_are_loaded_at_once_and_each_of_them_once,
            the_owner_of_an_instance_is_known_at_once,
            a_watch_says_what_a_poll_needs_to_know,
            watches_are_the_living_workers_of_one_region_in_order_of_zone_and_id,
            facts_come_newest_first_and_page_by_page,
            a_cursor_of_another_kind_is_refused,
            facts_stay_untold_until_they_are_marked_as_told,
            marking_twice_or_marking_what_never_was_is_no_error,
            untold_facts_come_oldest_first_and_only_those_from_before,
        }
        $each! { samples:
            appending_a_sample_again_replaces_it,
            the_last_sample_of_a_time_counts,
            samples_come_newest_first_within_their_range,
            more_samples_than_one_call_takes_are_all_kept,
            of_some_samples_those_that_were_written_come_back,
        }
        $each! { sweeps:
            a_tick_is_taken_up_once,
            of_many_who_claim_a_tick_one_gets_it,
            a_later_tick_finds_the_heartbeat_as_it_was,
            completion_is_remembered_and_never_goes_back,
            what_nobody_took_up_cannot_be_completed,
        }
        $each! { buckets:
            what_was_drawn_is_known_at_once,
            a_draw_on_what_is_left_no_more_writes_nothing,
            of_many_who_draw_at_once_one_gets_it,
            buckets_have_nothing_to_do_with_each_other,
        }
        $each! { commands:
            a_command_is_found_as_it_was_accepted,
            what_is_accepted_again_stays_as_it_is,
            a_chunk_is_taken_up_by_one_until_their_lease_is_over,
            what_was_finished_first_stays,
            a_command_goes_on_chunk_by_chunk_and_never_back,
            a_command_is_called_off_once_and_only_while_something_is_left,
            what_is_due_comes_oldest_first_until_it_is_finished,
        }
        $each! { idempotency:
            a_new_key_is_fresh_and_then_running,
            of_many_who_begin_a_request_one_carries_it_out,
            a_finished_request_is_answered_as_the_first_time,
            a_key_for_another_request_is_refused,
            an_abandoned_key_is_free_again,
            what_was_answered_cannot_be_abandoned,
            when_a_lease_is_over_the_reserved_identity_stays,
            callers_do_not_share_keys,
            a_key_means_a_request_for_a_day,
        }
        $each! { vault:
            user_data_is_kept_until_it_is_forgotten,
            the_longest_user_data_fits,
        }
        $each! { deliveries:
            a_delivery_is_claimed_once_while_the_lease_lasts,
            of_many_who_claim_a_delivery_one_gets_it,
            a_claim_that_came_to_nothing_counts_as_a_try,
            a_retry_is_granted_when_its_time_has_come,
            what_is_settled_stays_settled,
            an_outcome_without_a_claim_enters_nothing,
            a_deferred_delivery_is_due_when_it_was_said_to_be,
            deferring_what_is_known_changes_nothing,
            what_is_due_comes_oldest_first_with_the_first_payload,
            no_more_permits_are_given_than_a_second_has,
        }
        $each! { compute:
            unknown_instances_are_reported_and_the_others_are_answered,
            an_instance_that_is_asked_for_twice_is_answered_once,
            no_question_has_no_answer,
            a_new_instance_is_described_as_it_was_launched,
            the_instances_of_a_worker_are_found_by_its_tag,
            an_image_that_is_not_there_is_none,
            all_images_of_a_name_are_found_or_said_to_be_too_many,
            a_search_finds_what_carries_all_tags_was_launched_from_the_image_and_does_not_end,
        }
        $each! { actuator:
            a_launch_with_the_same_token_is_the_same_launch,
            a_token_is_good_for_one_launch_only,
            an_instance_goes_where_it_is_sent,
            what_is_so_already_is_accepted_and_stays_so,
            what_is_so_already_is_said_to_be_so,
            what_has_ended_cannot_be_started,
            tags_are_set_and_removed_by_key,
            tags_make_room_for_others_and_there_are_fifty_at_most,
            an_instance_nobody_knows_cannot_be_changed,
            an_instance_nobody_knows_cannot_be_tagged,
            a_call_for_several_is_for_all_or_for_none,
            to_locate_is_not_to_act,
        }
        $each! { metrics:
            what_was_measured_is_read_in_order,
            what_was_not_measured_is_absent,
        }
        $each! { bus:
            more_than_one_call_takes_is_accepted,
            what_is_too_large_is_refused_for_good,
        }
        $each! { topic:
            a_message_for_every_kind_of_subscriber_is_accepted,
            what_is_too_large_is_refused_for_good,
        }
        $each! { webhooks:
            what_is_sent_arrives_once_and_as_it_is,
            a_status_is_brought_back_as_it_is,
            a_redirect_is_an_answer_and_not_a_way,
            how_long_to_wait_is_brought_back,
            silence_ends_with_the_timeout_and_is_no_answer,
        }
        $each! { secrets:
            the_secret_is_read_as_it_was_put_and_signs,
            a_secret_that_nobody_put_is_refused_for_good,
        }
    };
}
