//! Everything that one table of the benchmark runs in: so many trunks, in trunkd and in the stock modules' database, so many
//! calls that stay up, a gateway, a receiver of webhooks, and all proxies.
//!
//! It must never give the two sides different data: the stock modules' database is made from trunkd's.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::kinds::{self, Kind};
use super::load::{self, Plan};
use super::proxy::{self, Proxy};
use crate::api::Api;
use crate::child::Child;
use crate::kamailio::Options;
use crate::receiver::Receiver;
use crate::stack::Stack;
use crate::toml::Trunk;
use crate::{artifacts, rpc, trunkd, wait};

/// The callers' digest user.
pub const USER: &str = "caller";
/// And password.
pub const PASSWORD: &str = "a-password-of-some-length";
/// For what takes its time with 100,000 trunks.
pub const LONG: Duration = Duration::from_secs(600);
/// Begun per second when calls that stay up are placed.
const HOLD_RATE: u32 = 300;
/// Trunks in one file.
const PER_FILE: u32 = 5_000;

/// Room for 100,000 trunks, as kamailio.cfg ships it, and fewer slots and gateways.
const ROOM: [(&str, u32); 5] = [
    ("slots", 65_536),
    ("trunks", 131_072),
    ("accounts", 256),
    ("gateways", 131_072),
    ("ring_cells", 32_768),
];

/// What a world is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Trunks in all.
    pub trunks: u32,
    /// Calls that are up on each trunk that is called.
    pub live: u32,
}

/// It is up as long as it is held.
#[derive(Debug)]
pub struct World {
    /// How much there is.
    pub size: Size,
    /// Trunkline, its Kamailio apart.
    pub stack: Stack,
    /// The stock modules' database.
    pub database: PathBuf,
    /// Where webhooks go.
    pub receiver: Receiver,
    /// Why the stock modules did not start, if they did not.
    pub refused: Option<String>,
    proxies: Vec<(Vec<Kind>, Proxy)>,
    // Ended by being dropped.
    _held: Vec<Child>,
    _gateway: Child,
}

impl World {
    /// Starts all of it, and waits until the calls that stay up have been told.
    ///
    /// # Errors
    /// Something does not come up.
    pub fn start(size: Size) -> Result<World> {
        let mut stack = Stack::prepare(Options::new()?)?;
        for (name, room) in ROOM.iter().filter(|(name, _)| ["trunks", "gateways"].contains(name)) {
            trunkd::set_room(&stack.places, name, *room)?;
        }
        let (gateway, address) = load::gateway(stack.dir())?;
        let receiver = Receiver::start("bench")?;
        let uri = format!("sip:{address}");
        let called = |id: &str| {
            let trunk = Trunk::new(id).limits(100_000, "100000").gateway(&uri, 1);
            trunk.webhook(&receiver.url(), receiver.secret())
        };
        stack.site.write(&called("address").source("127.0.0.1"))?;
        stack.site.write(&called("password").key("authMode", "\"password\"").credential(USER, PASSWORD))?;
        for first in (2..size.trunks).step_by(PER_FILE as usize) {
            let text = fillers(first..size.trunks.min(first + PER_FILE));
            stack.site.write_text(&format!("more-{first}"), &text)?;
        }
        stack.start_trunkd_within(LONG)?;
        let api = Api::of(&stack)?;
        wait::until_within(LONG, "all trunks", || {
            let (_, answer) = api.send("GET", "/v1/trunks?limit=1", None)?;
            Ok((answer["meta"]["total"] == size.trunks).then_some(()))
        })?;
        let database = stock_database(&stack)?;

        let bare = |name: &str, menu: &[&str]| proxy::bare(&stack, name, address, menu);
        let mut proxies = vec![
            (vec![Kind::Bare], bare("bare", &[])?),
            (vec![Kind::Kept], bare("kept", &["WITH_KEPT"])?),
            (vec![Kind::BareDigest], bare("bare-digest", &["WITH_407"])?),
            (vec![Kind::KeptDigest], bare("kept-digest", &["WITH_407", "WITH_KEPT"])?),
        ];
        proxies.push((
            vec![Kind::TrunkAddress, Kind::TrunkDigest],
            proxy::trunkline(&stack, &ROOM, Some(proxy::KEEPALIVE_S))?,
        ));
        // With that many trunks it may refuse to start, and that is a finding.
        let mut refused = None;
        match proxy::stock(&stack, &database, size.trunks) {
            Ok(stock) => proxies.push((vec![Kind::StockAddress, Kind::StockDigest], stock)),
            Err(error) => refused = Some(format!("{error:#}")),
        }
        let mut world =
            World { size, stack, database, receiver, refused, proxies, _held: Vec::new(), _gateway: gateway };
        world._held = world.hold()?;
        world.settle()?;
        Ok(world)
    }

    /// The kinds whose proxy is up.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> + '_ {
        kinds::ALL.into_iter().filter(|kind| self.proxies.iter().any(|(kinds, _)| kinds.contains(kind)))
    }

    /// Starts the proxy of a kind anew, once or several times, without calls; how long each start took.
    ///
    /// # Errors
    /// It does not stop or start.
    pub fn restart(&mut self, kind: Kind, times: usize) -> Result<Vec<Duration>> {
        let at =
            self.proxies.iter().position(|(kinds, _)| kinds.contains(&kind)).context("a proxy that is up")?;
        let mut took = Vec::new();
        for _ in 0..times {
            self.proxies[at].1.child.kill()?;
            let again = match kind.is_trunkline() {
                true => proxy::trunkline(&self.stack, &ROOM, Some(proxy::KEEPALIVE_S))?,
                false => proxy::stock(&self.stack, &self.database, self.size.trunks)?,
            };
            took.push(again.started);
            self.proxies[at].1 = again;
        }
        Ok(took)
    }

    /// The proxy of a kind.
    ///
    /// # Panics
    /// It is not up.
    #[must_use]
    pub fn proxy(&self, kind: Kind) -> &Proxy {
        let found = self.proxies.iter().find(|(kinds, _)| kinds.contains(&kind));
        found.map(|(_, proxy)| proxy).expect("a kind whose proxy is up")
    }

    /// Calls of a kind.
    #[must_use]
    pub fn plan(&self, name: String, kind: Kind, calls: u32, rate: u32) -> Plan {
        let trunk = if kind.is_digest() { "password" } else { "address" };
        let (proxy, domain) = (self.proxy(kind).sip, self.stack.site.domain(trunk));
        Plan { name, kind, proxy, domain, calls, rate, talk: Duration::ZERO }
    }

    /// Places the calls that stay up, on each proxy and trunk, and waits until they talk.
    fn hold(&self) -> Result<Vec<Child>> {
        let mut held = Vec::new();
        for kind in self.kinds() {
            let before = self.talking(kind)?;
            let mut plan = self.plan(format!("held-{}", kind.key()), kind, self.size.live, HOLD_RATE);
            plan.talk = Duration::from_secs(24 * 3600);
            held.push(load::start(self.stack.dir(), &plan)?);
            wait::until_within(LONG, &format!("{} calls on {}", self.size.live, kind.label()), || {
                Ok((self.talking(kind)? >= before + u64::from(self.size.live)).then_some(()))
            })?;
        }
        Ok(held)
    }

    /// Waits until the receiver has heard of the calls that stay up, and forgets them.
    fn settle(&self) -> Result<()> {
        let live = self.kinds().filter(|kind| kind.is_trunkline()).count() * self.size.live as usize;
        wait::until_within(Duration::from_secs(300), "webhooks of the calls that stay up", || {
            Ok((self.receiver.count() >= 2 * live).then_some(()))
        })?;
        self.receiver.forget();
        Ok(())
    }

    /// Calls that a kind's proxy has up.
    fn talking(&self, kind: Kind) -> Result<u64> {
        let stats = rpc::call(&self.proxy(kind).rpc, "dlg.stats_active", &[])?;
        stats["ongoing"].as_u64().with_context(|| format!("dlg.stats_active has no `ongoing`: {stats}"))
    }
}

/// Trunks that nobody calls: an address, a user and a gateway each.
fn fillers(numbers: std::ops::Range<u32>) -> String {
    let first = numbers.start;
    let mut text = format!("[[account]]\naccountId = \"more-{first}\"\nname = \"more\"\n");
    for number in numbers {
        let [_, a, b, c] = number.to_be_bytes();
        let _ = write!(
            text,
            "\n[[trunk]]\ntrunkId = \"t{number}\"\naccountId = \"more-{first}\"\nname = \"t{number}\"\n\
             [[trunk.ipAcls]]\nipAddress = \"100.{a}.{b}.{c}\"\n\
             [[trunk.credentials]]\nusername = \"{USER}\"\npassword = \"{PASSWORD}-{number}\"\n\
             [[trunk.originationUris]]\nuri = \"sip:101.{a}.{b}.{c}\"\npriority = 1\nweight = 10\n"
        );
    }
    text
}

/// Makes the stock modules' database from trunkd's.
///
/// # Errors
/// sqlite3 refuses.
pub fn stock_database(stack: &Stack) -> Result<PathBuf> {
    let database = stack.dir().join("stock.sqlite");
    let attach = format!("ATTACH '{}' AS trunkd", crate::stock::database(&stack.places).display());
    let read = format!(".read {}", artifacts::stock("tables.sql")?.display());
    run_sql(&database, &[&attach, &read])?;
    Ok(database)
}

/// Has sqlite3 do something to a database of ours.
///
/// # Errors
/// It refuses.
pub fn run_sql(database: &Path, commands: &[&str]) -> Result<()> {
    let out = Command::new("sqlite3")
        .args(["-bail", "-cmd", ".timeout 5000"])
        .arg(database)
        .args(commands)
        .output();
    let out = out.context("sqlite3")?;
    ensure!(out.status.success(), "sqlite3: {}", String::from_utf8_lossy(&out.stderr));
    Ok(())
}
