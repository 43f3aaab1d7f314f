//! What publishing costs: memory, a full build, one changed trunk until a reader obeys it, and how long a reader is held up.
//!
//! Every figure is the median of five runs; where the wanted one is a bound on the worst, it is the worst of all runs.
//! Asserts nothing: a timed assertion is no test.

#[path = "../common/figures.rs"]
#[allow(dead_code, reason = "shared with other benches")]
mod figures;
mod folding;
#[path = "../common/world.rs"]
mod world;

use std::path::Path;
use std::time::{Duration, Instant};

use figures::{RUNS, directory, grouped, row};
use tempfile::TempDir;
use trunk_admission::instance::Instance;
use trunk_admission::model::Table;
use trunk_admission::publish::{Change, PublishOptions, Publisher};
use trunk_admission::{Attempt, Host};
use world::{host, options, table};

/// Changes in one run: five runs stay just below the size at which an overlay is folded.
const CHANGES: usize = 400;
/// Bytes of a trunk's line in the `live` file.
const LIVE_LINE: usize = 64;
const PREFIXES: usize = 10;

fn main() {
    let mut sizes = vec![100_000];
    if figures::room_for_a_million() {
        sizes.push(1_000_000);
    } else {
        row("publishing among 1,000,000 trunks", "not measured: wants 10 GiB of memory", "p99 50 ms");
    }
    sizes.iter().for_each(|&trunks| memory(trunks));
    sizes.iter().for_each(|&trunks| Bench::new(trunks).run());
}

/// Bytes per trunk of a customary shape, its own gateways' names included.
fn memory(trunks: usize) {
    let dir = directory();
    let published = publisher(dir.path()).publish(&table(trunks, 2), None).expect("publish");
    let each = published.image_bytes.div_ceil(trunks);
    row(
        format!("memory of a trunk of {}: 2 credentials, 2 addresses, 2 gateways", grouped(trunks as u64)),
        format!("{each} image + {LIVE_LINE} live = {} bytes", each + LIVE_LINE),
        "600 bytes",
    );
}

fn publisher(dir: &Path) -> Publisher {
    Publisher::open(dir, PublishOptions::default()).expect("publisher")
}

struct Bench {
    table: Table,
    _dir: TempDir,
    publisher: Publisher,
    reader: Instance,
    /// Trunks that were changed so far: each change takes another.
    changed: usize,
}

impl Bench {
    fn new(trunks: usize) -> Bench {
        let dir = directory();
        let publisher = publisher(dir.path());
        let mut reader = Instance::create(&options(dir.path(), trunks, 1_024, 64)).expect("reader");
        reader.enter_process(1, std::process::id(), 1);
        Bench { table: table(trunks, PREFIXES), _dir: dir, publisher, reader, changed: 0 }
    }

    fn row(&self, what: &str, measured: &str, wanted: &str) {
        let trunks = self.table.trunks.len() as u64;
        let prefixes = trunks * PREFIXES as u64;
        row(format!("{} trunks, {} prefixes: {what}", grouped(trunks), grouped(prefixes)), measured, wanted);
    }

    fn run(&mut self) {
        let large = self.table.trunks.len() > 100_000;
        self.full_builds(large);
        let wanted = if large { "p99 50 ms" } else { "p99 20 ms" };
        let (mut pauses, mut samples) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let mut times: Vec<Duration> = (0..CHANGES).map(|_| self.change(&mut pauses)).collect();
            times.sort_unstable();
            samples.push((times[CHANGES / 2], times[CHANGES * 99 / 100]));
        }
        let [p50, p99] = [0, 1]
            .map(|which| figures::median(samples.iter().map(|sample| [sample.0, sample.1][which]).collect()));
        self.row(
            "one changed trunk → obeyed by a reader",
            &format!("p50 {}, p99 {}", ms(p50), ms(p99)),
            wanted,
        );
        self.row("reader held up by an overlay", &worst(&mut pauses), "worst 1 ms");
        self.whole();
        self.folds();
    }

    /// A publish of everything by a publisher that knows nothing yet, as at a start of the daemon.
    fn full_builds(&mut self, large: bool) {
        let build = |_| {
            let dir = directory();
            let mut publisher = publisher(dir.path());
            let started = Instant::now();
            publisher.publish(&self.table, None).expect("publish");
            started.elapsed()
        };
        let time = figures::median((0..RUNS).map(build).collect());
        let wanted = if large { "-" } else { "2,000 ms" };
        self.row("full build, written and read back", &ms(time), wanted);
        self.publisher.publish(&self.table, None).expect("publish");
        self.reader.refresh();
    }

    /// One trunk gets another limit; a reader maps it and finds the new limit.
    fn change(&mut self, pauses: &mut Vec<Duration>) -> Duration {
        let (at, limit, change) = self.next_change();
        let started = Instant::now();
        let live = Some(self.reader.live());
        self.publisher.apply(2 + self.changed as u64, [change], live).expect("publish");
        let published = started.elapsed();
        self.reader.refresh();
        pauses.push(started.elapsed() - published);
        assert_eq!(self.limit(at), Some(limit));
        started.elapsed()
    }

    fn next_change(&mut self) -> (usize, u32, Change) {
        self.changed += 1;
        let at = self.changed * 7919 % self.table.trunks.len();
        let limit = self.changed as u32;
        self.table.trunks[at].limits.concurrent = Some(limit);
        (at, limit, Change::PutTrunk(Box::new(self.table.trunks[at].clone())))
    }

    /// The limit that a call to this trunk would meet.
    fn limit(&self, at: usize) -> Option<u32> {
        let (host, call) = (host(at), self.reader.call_key(b"id", b"tag", 1));
        let source = self.table.trunks[at].sources[0].addr();
        let attempt = Attempt { host: &Host::new(host.as_bytes()), user: b"", source, secure: false, call };
        self.reader.identify(&attempt).expect("known trunk").trunk.concurrent()
    }

    /// The same by handing over the whole table, of which one trunk changed.
    fn whole(&mut self) {
        let publish = |_| {
            let (at, limit, _) = self.next_change();
            let started = Instant::now();
            self.publisher.publish(&self.table, Some(self.reader.live())).expect("publish");
            self.reader.refresh();
            assert_eq!(self.limit(at), Some(limit));
            started.elapsed()
        };
        let time = figures::median((0..RUNS).map(publish).collect());
        self.row("the same, told by a whole table", &ms(time), "-");
    }
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

fn worst(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let [p99, worst] = [times.len() * 99 / 100, times.len() - 1].map(|at| ms(times[at]));
    format!("p99 {p99}, worst {worst}")
}
