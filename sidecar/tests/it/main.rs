//! The daemon's parts joined: configuration, store, events, webhooks, HTTP.
