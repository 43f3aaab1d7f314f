//! Why a call would pass or not, now: the decision itself over the live memory, with every step told and nothing spent.
//!
//! For the daemon and for people. Reads only: it must never count, take or claim anything, nor map what is not in force.

use std::cell::RefCell;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::clock::Now;
use crate::control::{Control, Pair};
use crate::decide::{self, Attempt, Identity, Proof, Refusal};
use crate::error::OpenError;
use crate::image::{Check, GatewayView, Host};
use crate::live::health::Fitness;
use crate::live::{CallKey, Live};
use crate::model::Kind;
use crate::reason::Reason;
use crate::tables::Tables;

pub use crate::decide::trace::{By, LevelName, Step};

/// A call that somebody asks about.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Host of the Request-URI.
    pub host: &'a [u8],
    /// User part of the Request-URI.
    pub user: &'a [u8],
    /// Where the request would come from.
    pub source: IpAddr,
    /// Whether it would come over TLS.
    pub tls: bool,
    /// The digest user it would name, with the right password; `None` for a call without credentials.
    pub username: Option<&'a [u8]>,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Generation of the table that decided.
    pub generation: u32,
    /// The store's revision in it.
    pub revision: u64,
    /// Each step, in order; the last one decided.
    pub steps: Vec<Step>,
    /// `None` if the call would be admitted; [`Reason::Challenge`] if it would be asked for a password first.
    pub refusal: Option<Refusal>,
    /// Whose call it is, once that is known.
    pub trunk: Option<Owner>,
    /// Its gateways in the order in which they would be tried.
    pub gateways: Vec<Choice>,
}

/// Whose call it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The trunk's id.
    pub id: String,
    /// Id of its account, if it has one.
    pub account: Option<String>,
    /// Trunk or application.
    pub kind: Kind,
    /// Realm of its digest users.
    pub realm: String,
}

/// One gateway in the order in which they would be tried: those that are up, then the rest, each by priority.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// As it was configured: `sip:host[:port][;transport=…]`.
    pub uri: String,
    /// Where calls would be sent, for a name.
    pub address: Option<String>,
    /// Lower is tried first.
    pub priority: u16,
    /// Weight among those of its priority.
    pub weight: u16,
    /// How often it would be the one chosen among those of its priority that are as fit: 0 to 1.
    pub share: f64,
    /// How it may be used now.
    pub fitness: Fitness,
}

/// Answers questions from what is in force in one directory.
#[derive(Debug)]
pub struct Explainer {
    dir: PathBuf,
    control: Control,
    live: Live,
    tables: Option<Tables>,
}

impl Explainer {
    /// Opens the shared files. [`OpenError::Missing`] until both the publisher and Kamailio have started once.
    pub fn open(dir: &Path) -> Result<Explainer, OpenError> {
        let (control, live) = (Control::open(dir)?, Live::attach(dir)?);
        Ok(Explainer { dir: dir.to_owned(), control, live, tables: None })
    }

    /// Whether the live words are still those that Kamailio uses; if not, open anew.
    pub fn is_current(&self) -> bool {
        self.live.is_current(&self.dir)
    }

    /// Judges a call that nobody has seen yet, as it would be judged now.
    ///
    /// # Errors
    /// If the image in force cannot be mapped.
    pub fn explain(&mut self, question: &Question<'_>, now: Now) -> Result<Explanation, OpenError> {
        self.refresh()?;
        let Some(tables) = &self.tables else { return Ok(Explanation::without_table()) };
        let attempt = Attempt {
            host: &Host::new(question.host),
            user: question.user,
            source: question.source,
            secure: question.tls,
            call: CallKey::new([0, 0]),
        };
        let trace = RefCell::new(Vec::new());
        let found = decide::find(tables, &self.live, &attempt);
        let judged = decide::identify(tables, found, &attempt, |_, _| {}, &trace);
        let (identity, refusal) = match &judged {
            Err(barred) => (barred.identity, Some(barred.reason.into())),
            Ok(identity) => {
                let proof = self.proof(tables, identity, question, &trace);
                (Some(*identity), decide::weigh(tables, &self.live, identity, proof, now, &trace))
            }
        };
        let newest = tables.newest();
        Ok(Explanation {
            generation: tables.pair.generation(),
            revision: newest.revision(),
            steps: trace.into_inner(),
            refusal,
            trunk: identity.map(|identity| owner(tables, &identity)),
            gateways: identity.map_or_else(Vec::new, |identity| self.gateways(tables, &identity, now)),
        })
    }

    fn refresh(&mut self) -> Result<(), OpenError> {
        let pair = self.control.pair();
        if pair == Pair::default() || self.tables.as_ref().is_some_and(|tables| tables.pair == pair) {
            return Ok(());
        }
        match Tables::open(&self.dir, pair, Check::BetweenCalls, self.tables.take()) {
            Ok(mut tables) => {
                tables.release_all();
                self.tables = Some(tables);
                Ok(())
            }
            // Named again meanwhile, and what it named is gone: look again.
            Err(outrun) if self.control.pair() != pair => {
                self.tables = outrun.1;
                self.refresh()
            }
            Err(refused) => {
                let (error, previous) = *refused;
                self.tables = previous;
                Err(error)
            }
        }
    }

    /// What the named user would prove with the right password.
    fn proof(
        &self,
        tables: &Tables,
        identity: &Identity,
        question: &Question<'_>,
        trace: &RefCell<Vec<Step>>,
    ) -> Proof {
        match question.username.filter(|_| identity.needs_password) {
            None => Proof::None,
            Some(username) => {
                let known = tables.credential(&identity.trunk, identity.in_overlay, username).is_some();
                trace.borrow_mut().push(Step::Credential { known });
                if known { Proof::Verified } else { Proof::Failed }
            }
        }
    }

    fn gateways(&self, tables: &Tables, identity: &Identity, now: Now) -> Vec<Choice> {
        let image = tables.image(identity.in_overlay);
        let fitness = |gateway: &GatewayView| {
            let word = self.live.health(gateway.live);
            word.map_or(Fitness::Down, |word| word.fitness(now.mono_ns / 1_000_000))
        };
        let mut found: Vec<_> =
            image.gateways(&identity.trunk).map(|gateway| (gateway, fitness(&gateway))).collect();
        // As `route::choose` has it: those that may be used by priority, then the others by priority.
        let last = |fitness: Fitness| fitness == Fitness::Down;
        found.sort_by_key(|(gateway, fitness)| {
            (last(*fitness), gateway.priority, std::cmp::Reverse(gateway.weight))
        });
        let weight = |gateway: &GatewayView| f64::from(gateway.weight.max(1));
        found
            .iter()
            .map(|(gateway, fitness)| {
                let peers = found.iter().filter(|(other, other_fitness)| {
                    other.priority == gateway.priority && last(*other_fitness) == last(*fitness)
                });
                let total: f64 = peers.map(|(other, _)| weight(other)).sum();
                let text = image.gateway_text(gateway);
                let (uri, address) = text.split(b' ');
                let owned = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
                Choice {
                    uri: owned(uri),
                    address: (uri != address).then(|| owned(address)),
                    priority: gateway.priority,
                    weight: gateway.weight,
                    share: weight(gateway) / total,
                    fitness: *fitness,
                }
            })
            .collect()
    }
}

fn owner(tables: &Tables, identity: &Identity) -> Owner {
    let image = tables.image(identity.in_overlay);
    let account = identity
        .account
        .map(|(account, in_overlay)| tables.image(in_overlay).account_id(&account).as_str().to_owned());
    Owner {
        id: image.trunk_id(&identity.trunk).as_str().to_owned(),
        account,
        kind: identity.trunk.kind(),
        realm: tables.realm(identity).as_str().to_owned(),
    }
}

impl Explanation {
    /// Nothing was ever published: no call can be judged.
    fn without_table() -> Explanation {
        Explanation {
            generation: 0,
            revision: 0,
            steps: Vec::new(),
            refusal: Some(Reason::NoData.into()),
            trunk: None,
            gateways: Vec::new(),
        }
    }
}
