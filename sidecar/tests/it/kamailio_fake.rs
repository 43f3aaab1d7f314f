//! A Kamailio that has only its tables: permissions and dispatcher of 5.6.3 as the RPC socket shows them, faults included.
//!
//! Written from the modules' sources, not from the code under test. It reads what a test says is in the database.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use trunkd::kamailio::keeper::Source;
use trunkd::kamailio::mark::{Load, Written};
use trunkd::kamailio::rows::{self, Address, Destination, Place};
use trunkd::store::Answer;

/// Longest answer that its socket takes.
const MOST_BYTES: usize = 131_040;

/// What a test sees and sets.
#[derive(Default)]
pub(crate) struct State {
    /// The database.
    pub(crate) addresses: Vec<Address>,
    pub(crate) destinations: Vec<Destination>,
    pub(crate) revision: i64,
    /// Its memory.
    pub(crate) networks: Vec<Address>,
    hosts: Vec<Address>,
    gateways: Vec<Destination>,
    pub(crate) states: HashMap<(i32, String), String>,
    /// When it was told to reload, and what.
    pub(crate) reloads: Vec<(Instant, &'static str)>,
    pub(crate) max_subnets: usize,
    /// Changes the database in the middle of a reload, once.
    pub(crate) meanwhile: Option<Address>,
    /// Its answers to `trunk.suspects`, each given once but the last; without any it does not know the question.
    pub(crate) suspects: VecDeque<Value>,
    started: u32,
    quit: bool,
}

/// Its rows in the database, marks included.
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
    pub(crate) socket: PathBuf,
    thread: Option<JoinHandle<()>>,
}

/// The database's side.
pub(crate) struct Database(Arc<Mutex<State>>);

impl Source for Database {
    fn written(&self) -> Answer<'_, Written> {
        let state = self.0.lock().unwrap();
        let written = Written { revision: state.revision, load: state.load() };
        Box::pin(async move { Ok(written) })
    }
}

impl State {
    fn load(&self) -> Load {
        let mut load = Load::default();
        self.addresses.iter().for_each(|row| load.add_address(row));
        self.destinations.iter().for_each(|row| load.add_destination(row));
        load
    }

    fn read_addresses(&mut self) {
        let mark = rows::address_mark(&self.load().address_mark());
        let (hosts, rest): (Vec<_>, Vec<_>) =
            self.addresses.iter().cloned().partition(|row| matches!(row.place, Place::Host(_)));
        let networks = rest.into_iter().filter(|row| matches!(row.place, Place::Subnet(_)));
        self.hosts = hosts;
        // What goes beyond is dropped without a word.
        self.networks = [mark].into_iter().chain(networks).take(self.max_subnets).collect();
    }

    fn read_destinations(&mut self) {
        let mark = rows::destination_mark(&self.load().destination_mark());
        self.gateways = self.destinations.iter().cloned().chain([mark]).collect();
        let fresh = |row: &Destination| {
            ((row.set, row.uri.clone()), if row.flags & 4 == 0 { "AX" } else { "DX" }.to_owned())
        };
        self.states = self.gateways.iter().map(fresh).collect();
    }

    fn answer(&mut self, method: &str, params: &[Value]) -> Result<Value, &'static str> {
        Ok(match method {
            "core.uptime" => json!({"up_since": format!("start {}", self.started), "uptime": 1}),
            "permissions.addressReload" => {
                self.reloads.push((Instant::now(), "address"));
                self.read_addresses();
                if let Some(row) = self.meanwhile.take() {
                    self.addresses.push(row);
                    self.revision += 1;
                }
                json!("Reload OK")
            }
            "dispatcher.reload" => {
                self.reloads.push((Instant::now(), "dispatcher"));
                self.read_destinations();
                json!("Ok. Dispatcher successfully reloaded.")
            }
            "permissions.subnetDump" => {
                self.networks.iter().enumerate().map(|(id, row)| subnet(id, row)).collect()
            }
            "permissions.addressDump" => self.hosts.iter().map(host).collect(),
            "dispatcher.list" => self.list(params.first() != Some(&json!("short")))?,
            "dispatcher.set_state" => {
                let (state, set) = (params[0].as_str().unwrap(), params[1].as_i64().unwrap());
                let key = (i32::try_from(set).unwrap(), params[2].as_str().unwrap().to_owned());
                let held = self.states.get_mut(&key).ok_or("State Update Failed")?;
                *held = state.to_ascii_uppercase();
                json!("Ok. Dispatcher state updated.")
            }
            "trunk.suspects" => {
                let next = if self.suspects.len() > 1 { self.suspects.pop_front() } else { None };
                next.or_else(|| self.suspects.front().cloned()).ok_or("Method Not Found")?
            }
            _ => return Err("Method Not Found"),
        })
    }

    fn list(&self, with_attrs: bool) -> Result<Value, &'static str> {
        if self.gateways.is_empty() {
            return Err("No Destination Sets");
        }
        let record = |row: &Destination| {
            let state = &self.states[&(row.set, row.uri.clone())];
            let mut dest = json!({"URI": row.uri, "FLAGS": state, "PRIORITY": 0});
            if with_attrs && !row.attrs.is_empty() {
                dest["ATTRS"] = json!({"BODY": row.attrs, "DUID": "", "MAXLOAD": 0, "WEIGHT": 50, "RWEIGHT": 50,
                    "SOCKET": "", "SOCKNAME": "", "OBPROXY": ""});
            }
            json!({"SET": {"ID": row.set, "TARGETS": [{"DEST": dest}]}})
        };
        Ok(json!({"NRSETS": 1, "RECORDS": self.gateways.iter().map(record).collect::<Vec<_>>()}))
    }
}

fn subnet(id: usize, row: &Address) -> Value {
    let item = json!({"ip": row.place.text(), "mask": row.place.mask(), "port": 0, "tag": row.tag.clone().unwrap_or_default()});
    json!({"id": id, "group": row.group, "item": item})
}

fn host(row: &Address) -> Value {
    let item = json!({"ip": row.place.text(), "port": 0, "tag": "NULL"});
    json!({"table": 0, "group": row.group, "item": item})
}

impl Fake {
    /// A Kamailio that has just read its empty tables.
    pub(crate) fn start(dir: &Path) -> Fake {
        let state = State { max_subnets: 512, ..State::default() };
        let mut fake =
            Fake { state: Arc::new(Mutex::new(state)), socket: dir.join("kamailio.sock"), thread: None };
        fake.restart();
        fake
    }

    pub(crate) fn database(&self) -> Database {
        Database(Arc::clone(&self.state))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Changes the database: one more revision.
    pub(crate) fn write(&self, change: impl FnOnce(&mut State)) -> i64 {
        let mut state = self.state();
        change(&mut state);
        state.revision += 1;
        state.revision
    }

    /// Stops, as far as anybody outside can see.
    pub(crate) fn stop(&mut self) {
        self.state().quit = true;
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        let _ = std::fs::remove_file(&self.socket); // its directory may be gone already
    }

    /// Starts again: its memory is read anew.
    pub(crate) fn restart(&mut self) {
        if self.thread.is_some() {
            self.stop();
        }
        {
            let mut state = self.state();
            (state.quit, state.started) = (false, state.started + 1);
            state.read_addresses();
            state.read_destinations();
        }
        let socket = UnixDatagram::bind(&self.socket).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let state = Arc::clone(&self.state);
        self.thread = Some(thread::spawn(move || serve(&socket, &state)));
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stop();
        }
    }
}

fn serve(socket: &UnixDatagram, state: &Mutex<State>) {
    let mut buffer = vec![0; 65_536];
    loop {
        if state.lock().unwrap().quit {
            return;
        }
        let (length, from) = match socket.recv_from(&mut buffer) {
            Ok(received) => received,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let question: Value = serde_json::from_slice(&buffer[..length]).unwrap();
        let params = question["params"].as_array().cloned().unwrap_or_default();
        let answer = match state.lock().unwrap().answer(question["method"].as_str().unwrap(), &params) {
            Ok(result) => json!({"jsonrpc": "2.0", "result": result, "id": question["id"]}),
            Err(message) => {
                json!({"jsonrpc": "2.0", "error": {"code": 500, "message": message}, "id": question["id"]})
            }
        };
        let answer = answer.to_string();
        if answer.len() <= MOST_BYTES {
            // Whoever asked may have given up by now.
            let gone = [io::ErrorKind::ConnectionRefused, io::ErrorKind::NotFound];
            let sent = socket.send_to_addr(answer.as_bytes(), &from);
            assert!(sent.as_ref().map_or_else(|error| gone.contains(&error.kind()), |_| true), "{sent:?}");
        }
    }
}
