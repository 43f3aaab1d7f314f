//! What bindgen made of Kamailio's headers (build.rs), the version strings, and the layout this version is proven to
//! have. It must never hold code of our own: no wrapper, no constant that a header could change.
#![expect(
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    reason = "Kamailio's names, as they are"
)]
#![expect(missing_docs, reason = "documented in Kamailio's headers; generated")]
#![allow(clippy::all, clippy::undocumented_unsafe_blocks, clippy::multiple_unsafe_ops_per_block, dead_code)]
#![allow(unsafe_op_in_unsafe_fn, unnecessary_transmutes)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
include!(concat!(env!("OUT_DIR"), "/version.rs"));
include!(concat!(env!("OUT_DIR"), "/layout.rs"));

// The headers and the running binary must agree about the sizes that `kamailio -v` prints.
const _: () = assert!(MAX_URI_SIZE as u64 == INSTALLED_MAX_URI_SIZE);
