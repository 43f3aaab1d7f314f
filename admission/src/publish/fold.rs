//! Folding: base and overlay become a new base, on whichever thread has time, while publishing goes on.
//!
//! The publisher hands out a [`Fold`], which knows all it needs; [`Fold::build`] makes, writes and checks the image; the
//! publisher then names the [`Folded`] base, with an overlay of what changed meanwhile.

use std::sync::Arc;

use super::catalog::{Base, Delta};
use super::files::Files;
use super::images::{Whole, write_base, write_overlay};
use super::{PublishError, Published, Publisher};
use crate::control::Pair;
use crate::image::{Check, Image};
use crate::live::Live;
use crate::tables::Tables;

/// A base to be made.
#[derive(Debug)]
pub struct Fold {
    generation: u32,
    revision: u64,
    base: Arc<Base>,
    delta: Delta,
    files: Files,
}

/// A base that was made and checked, and that nothing names yet.
#[derive(Debug)]
pub struct Folded {
    base: Base,
    image: Image,
    from: Arc<Base>,
    at_fold: Delta,
}

impl Fold {
    /// Makes the base: seconds of work for a million trunks. Blocks; call it where nobody waits.
    ///
    /// # Errors
    /// If the image cannot be built, written, or read back. What is in force is not touched.
    pub fn build(self) -> Result<Folded, PublishError> {
        let Fold { generation, revision, base: from, delta: at_fold, files } = self;
        let (trunks, accounts) =
            (from.trunks.merged(&at_fold.trunks), from.accounts.merged(&at_fold.accounts));
        let node = at_fold.node.clone();
        let whole = Whole {
            node: &node,
            revision,
            trunks: trunks.iter().map(Arc::as_ref),
            accounts: accounts.iter().map(Arc::as_ref),
        };
        let shared = write_base(&files, generation, whole)?;
        let image =
            Image::open(&files.image(generation), Check::Everything).map_err(PublishError::ReadBack)?;
        Ok(Folded { base: Base::new(generation, node, trunks, accounts, shared), image, from, at_fold })
    }
}

impl Publisher {
    /// Begins to fold base and overlay into a new base. Cheap: the work is in [`Fold::build`], on any thread, while this
    /// publisher goes on. A fold that was begun before and not finished is given up.
    ///
    /// # Errors
    /// [`PublishError::NoTable`] before this process has published a whole table.
    pub fn begin_fold(&mut self) -> Result<Fold, PublishError> {
        let catalog = self.catalog.as_ref().ok_or(PublishError::NoTable)?;
        self.last += 1;
        self.kept.folding = Some(self.last);
        Ok(Fold {
            generation: self.last,
            revision: catalog.revision,
            base: Arc::clone(&catalog.base),
            delta: catalog.delta.clone(),
            files: self.files.clone(),
        })
    }

    /// Names a folded base, with an overlay of what was published since the fold began. Changes no decision.
    ///
    /// # Errors
    /// [`PublishError::Superseded`] when another base or another fold came between. What is in force stays.
    pub fn finish_fold(&mut self, folded: Folded, live: Option<&Live>) -> Result<Published, PublishError> {
        self.look_at_files(live);
        let Folded { base, image, from, at_fold } = folded;
        let current = self.catalog.as_ref().filter(|catalog| Arc::ptr_eq(&catalog.base, &from));
        let Some(catalog) = current.filter(|_| self.kept.folding == Some(base.generation)) else {
            return Err(PublishError::Superseded);
        };
        let revision = catalog.revision;
        let delta = catalog.delta.rebased(&from, &at_fold, &base);
        let mut tables = Tables::of_base(image);
        // A generation never goes back, so what was published meanwhile asks for an overlay even if it was undone.
        if !delta.is_none(&base) || base.generation < self.generation() {
            let generation = self.last + 1;
            write_overlay(&self.files, generation, revision, &base, tables.base(), &delta)?;
            let pair = Pair::new(base.generation, generation);
            tables = Tables::open(&self.files.dir, pair, Check::Everything, Some(tables))
                .map_err(|refused| PublishError::ReadBack(refused.0))?;
        }
        self.name_checked(tables, revision, None, live);
        self.kept.folding = None;
        Ok(self.adopt(Arc::new(base), delta, revision))
    }

    /// Gives up a fold that was begun; its image is removed by the next publish.
    pub fn abandon_fold(&mut self) {
        self.kept.folding = None;
    }
}
