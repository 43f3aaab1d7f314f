//! What every scenario has in its hands: a running site, a directory, a webhook receiver, its trunk.
//!
//! It must never reach past the site: the same scenario runs in a test's own stack and beside `make run`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::gateway::Gateway;
use crate::receiver::Receiver;
use crate::report::Report;
use crate::sipp::{Finished, Plan, Sipp};
use crate::site::Site;
use crate::toml::Trunk;

/// A scenario: its name, what it shows, and how it is played.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Short and unique; part of the trunk's id.
    pub name: &'static str,
    /// One line for people.
    pub shows: &'static str,
    /// Plays it and compares.
    pub play: fn(&Scene) -> Result<Report>,
}

/// The stage of one scenario. Its trunk files go with it.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The running product.
    pub site: &'a Site,
    /// The customer's endpoint.
    pub receiver: Receiver,
    /// Id of the scenario's trunk.
    pub trunk: String,
    dir: PathBuf,
}

impl Scene<'_> {
    /// The scenario's trunk, with its webhook set and this machine as its source.
    #[must_use]
    pub fn trunk(&self) -> Trunk {
        self.closed_trunk().source("127.0.0.1")
    }

    /// As `trunk`, without any source.
    #[must_use]
    pub fn closed_trunk(&self) -> Trunk {
        Trunk::new(&self.trunk).webhook(&self.receiver.url(), self.receiver.secret())
    }

    /// A gateway that answers.
    ///
    /// # Errors
    /// sipp does not come up.
    pub fn gateway(&self, name: &str) -> Result<Gateway> {
        Gateway::answering(&self.dir, &self.file(name))
    }

    /// A gateway that plays a scenario folder's `uas.xml`.
    ///
    /// # Errors
    /// sipp does not come up.
    pub fn gateway_playing(&self, name: &str, folder: &str) -> Result<Gateway> {
        Gateway::playing(&self.dir, &self.file(name), folder)
    }

    /// What a caller to the scenario's trunk does.
    #[must_use]
    pub fn plan(&self, folder: &'static str) -> Plan {
        Plan::new(folder, &self.site.domain(&self.trunk))
    }

    /// Starts a caller.
    ///
    /// # Errors
    /// sipp cannot be started.
    pub fn start(&self, name: &str, plan: &Plan) -> Result<Sipp> {
        Sipp::start(&self.dir, &self.file(name), self.site.sip, plan)
    }

    /// Starts a caller and waits until it is done.
    ///
    /// # Errors
    /// sipp fails or does not end.
    pub fn call(&self, name: &str, plan: &Plan) -> Result<Finished> {
        self.start(name, plan)?.finish()
    }

    /// Waits for that many events of the first call of `caller` and tells them.
    ///
    /// # Errors
    /// Nothing was called.
    pub fn events(&self, caller: &Finished, count: usize) -> Result<String> {
        self.receiver.story(caller.call_ids.first().context("no call")?, count)
    }

    fn file(&self, name: &str) -> String {
        format!("{}-{name}", self.trunk)
    }
}

impl Scenario {
    /// Plays it at `site`, with its files in `dir`.
    ///
    /// # Errors
    /// It could not be played to the end; that something else happened than should have is in the report.
    pub fn play(&self, site: &Site, dir: &Path) -> Result<Report> {
        let trunk = format!("demo-{}", self.name);
        let receiver = Receiver::start(&trunk)?;
        let scene = Scene { site, receiver, trunk, dir: dir.to_owned() };
        let report = (self.play)(&scene);
        site.remove(&scene.trunk);
        // Whoever runs the site wants it as it was; a failure here changes nothing about the report.
        let _ = site.sighup();
        report.with_context(|| format!("scenario {}", self.name))
    }
}
