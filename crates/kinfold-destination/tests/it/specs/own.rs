//! The check itself, with a made-up specification.
