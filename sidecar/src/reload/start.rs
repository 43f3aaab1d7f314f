//! The first configuration of a process: what the files say or, when trunk files are faulty, what is stored.
//!
//! A reboot after a bad edit must not be an outage. Must never start with a part of the files.

use super::{Asker, Deps, Error, Refused, Reloader};
use crate::change::Publishing;
use crate::config::Loaded;

impl Reloader {
    /// Puts the configuration of the start in force.
    ///
    /// # Errors
    /// If it cannot be stored or published, or if the trunk files are faulty and nothing is stored: then the daemon
    /// must not start.
    pub async fn start(
        deps: Deps,
        loaded: Loaded,
        publishing: &mut Publishing,
    ) -> Result<(Reloader, Asker), Error> {
        let Loaded { mut config, problems } = loaded;
        let wanted = config.provisioned.take();
        let (mut reloader, asker) = Reloader::new(deps, config);
        let mut problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        if problems.is_empty() {
            match reloader.store(wanted).await {
                Ok(_) => {}
                Err(Refused::Problems(found)) => problems = found,
                Err(Refused::Store(error)) => return Err(error.into()),
            }
            problems.iter().for_each(|problem| tracing::error!("{problem}"));
        }
        if !problems.is_empty() {
            reloader.go_on().await?;
        }
        publishing.start().await?;
        if problems.is_empty() {
            reloader.log_in_force(None);
        } else {
            let revision = reloader.deps.status.get().published_revision;
            tracing::error!(revision, "the trunk files are faulty; the stored configuration is in force");
            reloader.deps.metrics.reloads.with_label_values(&["refused"]).inc();
            reloader.tell("refused", problems);
        }
        Ok((reloader, asker))
    }

    /// Goes on with what is stored: the node as it was goes with the trunks as they were.
    async fn go_on(&mut self) -> Result<(), Error> {
        let stored = self.deps.store.provisioned().await?;
        // What a reload compares with: a domain that changed beside the faulty files needs another restart.
        self.config.provisioned.node = stored.node.ok_or(Error::NothingStored)?;
        Ok(())
    }
}
