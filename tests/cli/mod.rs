//! Manners of the commands, and what they do with bad input.

mod destinations;
mod identity;
mod interrupts;
mod lakes;
mod manifests;
mod manners;
mod records;
mod serve;
mod sources;

use libtest_mimic::Trial;

use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials!("cli":
        destinations::a_destination_that_is_down,
        destinations::a_destination_that_fails_for_good,
        destinations::a_destination_that_never_answers_in_full,
        destinations::a_destination_that_refuses_some_rows,
        destinations::a_destination_that_stumbles,
        destinations::held_removals_are_approved,
        destinations::a_destination_that_refuses_the_credentials,
        destinations::credentials_that_are_not_set,
        destinations::a_destination_that_hangs_keeps_nobody_waiting,
        identity::a_linkage_is_trained_from_its_records,
        identity::a_person_is_shown,
        identity::what_is_added_gives_what_all_rows_give,
        interrupts::ctrl_c_during_a_build,
        interrupts::ctrl_c_during_a_sync,
        lakes::a_lake_of_something_newer,
        lakes::storage_that_is_down_or_closed,
        lakes::a_full_disk,
        lakes::a_failed_test_publishes_nothing,
        manifests::a_folder_of_the_project_is_a_destination,
        manifests::what_it_refuses_is_known_row_by_row,
        manifests::what_it_does_not_have_is_said_by_check,
        manifests::shipped_destinations_prove_themselves,
        manners::new_days_send_only_who_changed,
        manners::a_new_folder_is_built_and_delivered,
        manners::json_is_one_object,
        manners::commands_that_cannot_run,
        manners::colour_is_for_terminals,
        records::a_model_reads_what_syncs_have_done,
        serve::a_server_builds_delivers_and_tells,
        serve::a_server_that_cannot_be,
        sources::malformed_records_are_counted_and_kept,
        sources::a_file_that_is_missing,
        sources::a_file_that_is_cut_off,
        sources::a_file_of_another_schema,
    )
}
