//! The first configuration of a process: what the files say or, when trunk files are faulty, what is stored.
//!
//! A reboot after a bad edit must not be an outage. Must never start with a part of the files.

use super::{Deps, Error, Reloader};
use crate::config::Loaded;

impl Reloader {
    /// Puts the configuration of the start in force.
    ///
    /// # Errors
    /// If it cannot be stored or published, or if the trunk files are faulty and nothing is stored: then the daemon
    /// must not start.
    pub async fn start(deps: Deps, loaded: Loaded) -> Result<Reloader, Error> {
        let Loaded { mut config, problems } = loaded;
        let wanted = config.provisioned.take();
        let mut reloader = Reloader { deps, config, unpublished: true };
        if problems.is_empty() {
            reloader.put(wanted).await?.publish?;
        } else {
            reloader.go_on().await?;
            reloader.deps.metrics.reloads.with_label_values(&["refused"]).inc();
            reloader.tell("refused", problems.iter().map(ToString::to_string).collect());
        }
        Ok(reloader)
    }

    /// Publishes what is stored, whole: the node as it was goes with the trunks as they were.
    async fn go_on(&mut self) -> Result<(), Error> {
        let snapshot = self.deps.store.snapshot().await?;
        // What a reload compares with: a domain that changed beside the faulty files needs another restart.
        self.config.provisioned.node = snapshot.node.ok_or(Error::NothingStored)?;
        self.publish().await?;
        let revision = self.deps.status.get().published_revision;
        tracing::error!(revision, "the trunk files are faulty; the stored configuration is in force");
        Ok(())
    }
}
