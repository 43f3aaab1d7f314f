//! Trunk files as an operator would write them.
//!
//! It must never check anything: telling good from bad is the product's work.

use std::fmt::Write as _;

/// One trunk and its account, to be put into the directory of trunk files.
#[derive(Clone, Debug)]
pub struct Trunk {
    /// `trunkId`, also the name of the file and of the account.
    pub id: String,
    account: String,
    lines: String,
    tables: String,
}

impl Trunk {
    /// A trunk without sources, credentials and gateways, and with room for whatever a test does.
    #[must_use]
    pub fn new(id: &str) -> Trunk {
        Trunk { id: id.to_owned(), account: String::new(), lines: String::new(), tables: String::new() }
            .limits(1000, "1000")
    }

    /// Replaces the limits: calls at once, calls per second.
    #[must_use]
    pub fn limits(mut self, concurrent: u32, cps: &str) -> Trunk {
        let kept: Vec<&str> = self.lines.lines().filter(|line| !line.contains("Limit = ")).collect();
        self.lines = kept.into_iter().map(|line| format!("{line}\n")).collect();
        let _ = writeln!(self.lines, "concurrentCallsLimit = {concurrent}\ncpsLimit = {cps}");
        self
    }

    /// A key of the trunk itself, e.g. `("enabled", "false")`.
    #[must_use]
    pub fn key(mut self, key: &str, value: &str) -> Trunk {
        let _ = writeln!(self.lines, "{key} = {value}");
        self
    }

    /// A key of its account.
    #[must_use]
    pub fn account(mut self, key: &str, value: &str) -> Trunk {
        let _ = writeln!(self.account, "{key} = {value}");
        self
    }

    /// Switches off the part that was added last.
    #[must_use]
    pub fn switched_off(mut self) -> Trunk {
        let _ = writeln!(self.tables, "enabled = false");
        self
    }

    /// A source address that needs no password.
    #[must_use]
    pub fn source(mut self, address: &str) -> Trunk {
        let _ = writeln!(self.tables, "\n[[trunk.ipAcls]]\nipAddress = \"{address}\"");
        self
    }

    /// A digest user.
    #[must_use]
    pub fn credential(mut self, user: &str, password: &str) -> Trunk {
        let _ = writeln!(
            self.tables,
            "\n[[trunk.credentials]]\nusername = \"{user}\"\npassword = \"{password}\""
        );
        self
    }

    /// A gateway; the lower priority is tried first.
    #[must_use]
    pub fn gateway(self, uri: &str, priority: u16) -> Trunk {
        self.weighted_gateway(uri, priority, 10)
    }

    /// A gateway that gets this share of the calls of its priority.
    #[must_use]
    pub fn weighted_gateway(mut self, uri: &str, priority: u16, weight: u16) -> Trunk {
        let _ = writeln!(
            self.tables,
            "\n[[trunk.originationUris]]\nuri = \"{uri}\"\npriority = {priority}\nweight = {weight}"
        );
        self
    }

    /// Where its events go.
    #[must_use]
    pub fn webhook(mut self, url: &str, secret: &str) -> Trunk {
        let _ = writeln!(self.lines, "webhookUrl = \"{url}\"\nwebhookSecret = \"{secret}\"");
        self
    }

    /// The file.
    #[must_use]
    pub fn render(&self) -> String {
        let id = &self.id;
        format!(
            "[[account]]\naccountId = \"{id}\"\nname = \"{id}\"\n{}\n[[trunk]]\ntrunkId = \"{id}\"\naccountId = \"{id}\"\n\
             name = \"{id}\"\n{}{}",
            self.account, self.lines, self.tables
        )
    }
}
