//! From rows to image files: the two sorts of image, built and written, not yet named.

use super::catalog::{Base, Delta};
use super::change::Node;
use super::files::Files;
use super::{PublishError, random_keys};
use crate::crash;
use crate::image::{BaseWords, BuildError, Image, Owners, Prefix, Settings, build_overlay, build_whole};
use crate::model::{Account, Trunk};

/// The rows of a base to be made.
pub(super) struct Whole<'a, T, A> {
    pub(super) node: &'a Node,
    pub(super) revision: u64,
    pub(super) trunks: T,
    pub(super) accounts: A,
}

/// Builds and writes a base image; answers the prefixes that more than one trunk lists.
pub(super) fn write_base<'a>(
    files: &Files,
    generation: u32,
    whole: Whole<'a, impl ExactSizeIterator<Item = &'a Trunk>, impl Iterator<Item = &'a Account>>,
) -> Result<Vec<(Prefix, Owners)>, PublishError> {
    let settings =
        settings(generation, generation, whole.revision, whole.node, whole.trunks.len(), random_keys()?);
    let BaseWords { words, shared } = build_whole(&settings, whole.trunks, whole.accounts)?;
    crash::point("publish.built");
    files.write(generation, &words)?;
    Ok(shared)
}

/// Builds and writes the overlay that says what `delta` says, on `base`, whose image is `image`.
pub(super) fn write_overlay(
    files: &Files,
    generation: u32,
    revision: u64,
    base: &Base,
    image: &Image,
    delta: &Delta,
) -> Result<(), PublishError> {
    let trunks = base.trunks.count(&delta.trunks);
    // The keys of its base: a host is hashed once for both.
    let keys = [image.keys.0, image.keys.1];
    let settings = settings(generation, base.generation, revision, &delta.node, trunks, keys);
    let contents = delta.contents(base, image);
    let mut problems = delta.collisions(base);
    let words = match build_overlay(&settings, &contents) {
        Ok(words) if problems.is_empty() => words,
        Ok(_) => return Err(BuildError::Refused(problems).into()),
        Err(BuildError::Refused(more)) => {
            problems.extend(more);
            return Err(BuildError::Refused(problems).into());
        }
    };
    crash::point("publish.built");
    files.write(generation, &words)
}

fn settings(
    generation: u32,
    base: u32,
    revision: u64,
    node: &Node,
    trunks: usize,
    keys: [u64; 2],
) -> Settings<'_> {
    Settings {
        generation,
        base,
        revision,
        trunks: trunks as u64,
        region: node.region,
        base_domain: &node.base_domain,
        inbound_host: &node.inbound_host,
        node: node.limits,
        keys,
    }
}
