//! Runs a project on a schedule and answers questions about it over HTTP.
