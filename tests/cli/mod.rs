//! Manners of the commands, and what they do with bad input.

mod audits;
mod destinations;
mod environments;
mod gradual;
mod identity;
mod incremental;
mod interrupts;
mod judge;
mod lakes;
mod lineage;
mod manifests;
mod manners;
mod meanings;
pub(crate) mod people;
mod plans;
mod recorded;
mod records;
mod remembered;
mod serve;
mod sources;
mod unit_tests;

use libtest_mimic::Trial;

use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials!("cli":
        audits::data_tests_find_what_is_wrong,
        audits::what_plans_prove_is_not_run,
        destinations::a_destination_that_is_down,
        destinations::a_destination_that_fails_for_good,
        destinations::a_destination_that_never_answers_in_full,
        destinations::a_destination_that_refuses_some_rows,
        destinations::a_destination_that_stumbles,
        destinations::held_removals_are_approved,
        destinations::a_destination_that_refuses_the_credentials,
        destinations::credentials_that_are_not_set,
        destinations::a_destination_that_hangs_keeps_nobody_waiting,
        gradual::what_may_be_wrong_is_left_out,
        remembered::what_a_node_sees_is_part_of_what_is_remembered,
        identity::a_linkage_is_trained_from_its_records,
        identity::a_person_is_shown,
        judge::two_identifiers_are_explained,
        judge::links_are_explained_by_their_weights,
        judge::a_linkage_is_judged_by_labels,
        judge::labels_that_cannot_be_used,
        judge::charts_need_no_labels,
        judge::pairs_are_labelled_and_judged,
        judge::a_linkage_is_suggested,
        identity::components_are_those_of_networkx,
        identity::threads_change_nothing,
        identity::what_is_added_gives_what_all_rows_give,
        incremental::what_is_added_gives_what_the_whole_gives,
        incremental::another_meaning_is_built_anew,
        incremental::columns_come_and_go,
        incremental::what_cannot_be_added_is_refused,
        interrupts::ctrl_c_during_a_build,
        interrupts::ctrl_c_during_a_sync,
        lakes::a_lake_of_something_newer,
        lakes::storage_that_is_down_or_closed,
        lakes::a_full_disk,
        lakes::a_failed_test_publishes_nothing,
        manifests::a_folder_of_the_project_is_a_destination,
        manifests::what_it_refuses_is_known_row_by_row,
        manifests::what_it_does_not_have_is_said_by_check,
        manifests::a_secret_that_cannot_be_read_is_shown_where_it_stands,
        manifests::a_server_takes_a_credential_that_was_changed,
        manifests::shipped_destinations_prove_themselves,
        manners::new_days_send_only_who_changed,
        manners::a_new_folder_is_built_and_delivered,
        environments::a_pull_request_has_an_environment_of_its_own,
        environments::what_was_published_before_is_published_once_more,
        lineage::a_field_of_a_destination_leads_to_columns_of_sources,
        lineage::names_of_columns_that_are_wrong,
        manners::json_is_one_object,
        manners::commands_that_cannot_run,
        manners::colour_is_for_terminals,
        people::rules_are_planned_applied_and_taken_back,
        people::somebody_is_erased_and_stays_away,
        people::what_is_trained_names_nobody,
        people::old_ids_resolve_for_ever,
        people::a_hub_keeps_people_apart,
        people::households_follow_people,
        people::a_person_is_shown_with_what_is_known,
        meanings::a_change_reaches_who_reads_it,
        meanings::what_may_come_out_otherwise_is_read_again,
        meanings::a_lake_without_identities_is_built_once_more,
        meanings::what_is_skipped_is_what_a_new_lake_would_have,
        plans::a_plan_says_what_a_build_does,
        plans::what_differs_from_an_earlier_state_is_selected,
        plans::selections_have_names,
        plans::what_is_not_built_is_read_elsewhere,
        plans::a_lake_of_another_environment_is_read,
        recorded::columns_of_sources_are_recorded,
        records::a_model_reads_what_syncs_have_done,
        serve::a_server_builds_delivers_and_tells,
        serve::a_server_that_cannot_be,
        sources::malformed_records_are_counted_and_kept,
        sources::a_file_that_is_missing,
        sources::a_file_that_is_cut_off,
        sources::a_file_of_another_schema,
        unit_tests::they_run_without_any_table,
        unit_tests::the_table_after_a_build_is_expected,
        unit_tests::a_model_that_fails_one_is_not_built,
        unit_tests::what_is_wrong_is_said_where_it_is,
    )
}
