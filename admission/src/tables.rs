//! The images in force, as one table: every question is put to the overlay first, then to the base.
//!
//! What the overlay says, "deleted" included, is final. Must never answer from two pairs at once.

use std::net::IpAddr;
use std::path::Path;

use crate::control::{Pair, image_file};
use crate::decide::Identity;
use crate::error::OpenError;
use crate::image::{
    AccountView, Address, BLOCK_LINES, Check, Found, Ha1, Host, Image, SourceMatch, Text, TrunkRef,
    VALUE_LIVE,
};
use crate::model::Kind;
use crate::rate::Rate;

/// A mapped pair.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) pair: Pair,
    base: Image,
    overlay: Option<Image>,
    /// The base before, and how far it was let go of.
    retired: Option<(Image, usize)>,
}

/// Why a pair was not mapped, and what was mapped before it.
pub(crate) type Refused = Box<(OpenError, Option<Tables>)>;

impl Tables {
    /// Maps what `pair` names; takes the base of `previous` over when it is the same.
    pub(crate) fn open(
        dir: &Path,
        pair: Pair,
        check: Check,
        previous: Option<Tables>,
    ) -> Result<Tables, Refused> {
        let open = |generation| Image::open(&dir.join(image_file(generation)), check);
        let overlay = match pair.overlay() {
            0 => None,
            generation => match open(generation) {
                Ok(image) => Some(image),
                Err(error) => return Err(Box::new((error, previous))),
            },
        };
        let misfit = |image: &Image, base| image.base_generation() != base;
        let wrong = |image: &Image| {
            misfit(image, pair.base()) || !image.is_overlay() || image.generation() != pair.overlay()
        };
        if overlay.as_ref().is_some_and(wrong) {
            let path = dir.join(image_file(pair.overlay()));
            let error = OpenError::Damaged { path, fault: "it belongs to another base" };
            return Err(Box::new((error, previous)));
        }
        match previous {
            Some(Tables { pair: old, base, retired, .. }) if old.base() == pair.base() => {
                Ok(Tables { pair, base, overlay, retired })
            }
            previous => match open(pair.base()) {
                Ok(base) if misfit(&base, pair.base()) || base.is_overlay() => {
                    let path = dir.join(image_file(pair.base()));
                    Err(Box::new((OpenError::Damaged { path, fault: "it is no base" }, previous)))
                }
                Ok(base) => {
                    let retired = previous.map(|previous| (previous.base, 0));
                    Ok(Tables { pair, base, overlay, retired })
                }
                Err(error) => Err(Box::new((error, previous))),
            },
        }
    }

    /// A base alone.
    pub(crate) fn of_base(base: Image) -> Tables {
        Tables { pair: Pair::new(base.generation(), 0), base, overlay: None, retired: None }
    }

    /// Whether the files still have their names and their lengths. Reads none of their words: they may be cut off.
    pub(crate) fn are_whole(&self, dir: &Path) -> bool {
        let is_named = |image: &Image, number| image.is_named(&dir.join(image_file(number)));
        is_named(&self.base, self.pair.base())
            && self.overlay.as_ref().is_none_or(|image| is_named(image, self.pair.overlay()))
    }

    /// The base alone.
    pub(crate) fn base(&self) -> &Image {
        &self.base
    }

    /// Lets go of some more of the base that was in force before, if there is one. A base of a million trunks has so
    /// many pages that unmapping them at once would hold a call up for milliseconds.
    #[inline]
    pub(crate) fn release_some(&mut self) {
        if let Some((image, from)) = &mut self.retired {
            match image.release(*from) {
                Some(next) => *from = next,
                None => self.retired = None,
            }
        }
    }

    /// Lets go of all of it: where no call waits.
    pub(crate) fn release_all(&mut self) {
        self.retired = None;
    }

    /// Overlay, then base.
    fn images(&self) -> impl Iterator<Item = (&Image, bool)> {
        self.overlay.iter().map(|image| (image, true)).chain([(&self.base, false)])
    }

    #[inline]
    fn first<T>(&self, question: impl Fn(&Image) -> Found<T>) -> Option<(T, bool)> {
        if let Some(overlay) = &self.overlay {
            match question(overlay) {
                Found::Here(answer) => return Some((answer, true)),
                Found::Deleted => return None,
                Found::Nothing => {}
            }
        }
        match question(&self.base) {
            Found::Here(answer) => Some((answer, false)),
            Found::Deleted | Found::Nothing => None,
        }
    }

    /// The image whose settings count.
    pub(crate) fn newest(&self) -> &Image {
        self.overlay.as_ref().unwrap_or(&self.base)
    }

    /// The image that a trunk was found in.
    pub(crate) fn image(&self, in_overlay: bool) -> &Image {
        if in_overlay { self.newest() } else { &self.base }
    }

    /// Asks for what is known of the trunk of this host: all of it from the base, which most are in; from the overlay what tells whether it
    /// is there.
    #[inline]
    pub(crate) fn ask(&self, host: &Host) {
        if let Some(overlay) = &self.overlay {
            overlay.ask::<1>(host);
        }
        self.base.ask::<BLOCK_LINES>(host);
    }

    /// The trunk whose domain is this host.
    #[inline]
    pub(crate) fn trunk_by_host(&self, host: &Host) -> Option<(TrunkRef, bool)> {
        self.first(|image| image.trunk_by_host(host)).map(|found| self.trunk(found))
    }

    #[inline]
    fn trunk(&self, (entry, in_overlay): (u32, bool)) -> (TrunkRef, bool) {
        (self.image(in_overlay).trunk(entry), in_overlay)
    }

    pub(crate) fn trunk_by_live(&self, live: u32) -> Option<(TrunkRef, bool)> {
        self.first(|image| image.trunk_by_live(live)).map(|found| self.trunk(found))
    }

    pub(crate) fn application_by_user(&self, user: &[u8]) -> Option<(TrunkRef, bool)> {
        let (live, _) = self.first(|image| image.application_by_user(user))?;
        self.trunk_by_live(live)
    }

    #[inline]
    pub(crate) fn account(&self, live: u32) -> Option<(AccountView, bool)> {
        let (entry, in_overlay) = self.first(|image| image.account_by_live(live))?;
        Some((self.image(in_overlay).account(entry), in_overlay))
    }

    /// The account of a trunk that was found. Most are where the trunk's record says, and nothing has to be searched.
    #[inline]
    pub(crate) fn account_of(&self, trunk: &TrunkRef, in_overlay: bool) -> Option<(AccountView, bool)> {
        let live = trunk.account()?;
        if self.overlay.is_none()
            && !in_overlay
            && let Some(account) = self.base.account_at(trunk, live)
        {
            return Some((account, false));
        }
        self.account(live)
    }

    /// The trunk whose list has the longest prefix of `source`, when it is only one.
    pub(crate) fn source(&self, source: IpAddr) -> SourceMatch {
        let lengths = self.images().map(|(image, _)| image.source_lengths());
        let lengths = lengths.reduce(|a, b| a.union(b)).unwrap_or_default();
        let value = lengths
            .candidates(Address::from(source))
            .find_map(|prefix| self.first(|image| image.source(prefix)).map(|(value, _)| value));
        match value {
            None => SourceMatch::None,
            Some(value) => match value.checked_sub(VALUE_LIVE).map(u32::try_from) {
                Some(Ok(live)) => SourceMatch::Trunk(live),
                _ => SourceMatch::Ambiguous,
            },
        }
    }

    pub(crate) fn credential(&self, trunk: &TrunkRef, in_overlay: bool, username: &[u8]) -> Option<Ha1> {
        self.image(in_overlay).credential(trunk, username)
    }

    /// The realm of a trunk's digest users: the trunk's domain, or the host of all inbound URIs for an application.
    pub(crate) fn realm(&self, identity: &Identity) -> Text {
        match identity.trunk.kind() {
            Kind::Trunk => self.image(identity.in_overlay).trunk_domain(&identity.trunk),
            // The newest image says what counts, wherever the trunk is.
            Kind::Application => self.newest().inbound_host(),
        }
    }

    pub(crate) fn node_rate(&self) -> Option<Rate> {
        self.newest().node_rate()
    }

    pub(crate) fn node_concurrent(&self) -> Option<u32> {
        self.newest().node_concurrent()
    }
}
