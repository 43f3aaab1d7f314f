//! The questions that are asked of Kamailio, and its answers as values. Names and forms are those of 5.6.3.
//!
//! Must never decide anything: what an answer means is for `readback` and `reload`.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::rows::{Address, Place};
use super::rpc::{Client, RpcError};

/// For questions that only look.
const LOOK: Duration = Duration::from_secs(5);
/// For a reload: 50,000 rows take Kamailio two seconds on a small machine.
const RELOAD: Duration = Duration::from_secs(60);

/// A table that Kamailio loads into its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Of permissions.
    Address,
    /// Of dispatcher.
    Dispatcher,
}

impl Table {
    /// Every one.
    pub const ALL: [Table; 2] = [Table::Address, Table::Dispatcher];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Table::Address => "address",
            Table::Dispatcher => "dispatcher",
        }
    }
}

/// A destination in dispatcher's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its set.
    pub set: i32,
    /// Its URI.
    pub uri: String,
    /// Two letters: `A`ctive, `I`nactive, `D`isabled or `T`rying, then `P`robing or `X`.
    pub state: String,
    /// Its attributes; absent from a short list.
    pub attrs: Option<String>,
}

/// Calls that Kamailio's dialog module knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialogs {
    /// Not answered yet.
    pub early: u64,
    /// Answered.
    pub confirmed: u64,
}

impl Client {
    /// When Kamailio started, in its own words: another text is another Kamailio.
    pub async fn started(&self) -> Result<String, RpcError> {
        let method = "core.uptime";
        let answer = self.call(method, &[], LOOK).await?;
        text(method, &answer, "up_since")
    }

    /// Makes Kamailio read a table anew. Its "OK" is no proof: see `readback`.
    pub async fn reload(&self, table: Table) -> Result<(), RpcError> {
        let method = match table {
            Table::Address => "permissions.addressReload",
            Table::Dispatcher => "dispatcher.reload",
        };
        self.call(method, &[], RELOAD).await.map(drop)
    }

    /// The single addresses that permissions holds.
    pub async fn hosts(&self) -> Result<Vec<Address>, RpcError> {
        let method = "permissions.addressDump";
        let answer = self.call(method, &[], LOOK).await?;
        addresses(method, &answer, |address, _| Some(Place::Host(address)))
    }

    /// The networks that permissions holds, the mark among them.
    pub async fn subnets(&self) -> Result<Vec<Address>, RpcError> {
        let method = "permissions.subnetDump";
        let answer = self.call(method, &[], LOOK).await?;
        let network = |address, item: &Value| {
            let mask = u8::try_from(item["mask"].as_u64()?).ok()?;
            Some(Place::Subnet(IpNet::new(address, mask).ok()?))
        };
        addresses(method, &answer, network)
    }

    /// The destinations that dispatcher holds; with their attributes, or without in a third of the bytes.
    pub async fn destinations(&self, with_attrs: bool) -> Result<Vec<Held>, RpcError> {
        let method = "dispatcher.list";
        let params = if with_attrs { vec![] } else { vec![json!("short")] };
        let answer = match self.call(method, &params, LOOK).await {
            // What it says of an empty table.
            Err(RpcError::Refused { message, .. }) if message == "No Destination Sets" => {
                return Ok(Vec::new());
            }
            other => other?,
        };
        held(&answer).ok_or_else(|| garbled(method, &answer))
    }

    /// Whether dispatcher holds a destination that is disabled. It is told to disable it, which changes nothing then, and
    /// says whether there is one: the one question about a single row that it answers.
    pub async fn has_disabled(&self, set: i32, uri: &str) -> Result<bool, RpcError> {
        match self.set_state(set, uri, "dx").await {
            Ok(()) => Ok(true),
            Err(RpcError::Refused { message, .. }) if message == "State Update Failed" => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sets the state of a destination: the two letters of [`Held::state`].
    pub async fn set_state(&self, set: i32, uri: &str, state: &str) -> Result<(), RpcError> {
        self.call("dispatcher.set_state", &[json!(state), json!(set), json!(uri)], LOOK).await.map(drop)
    }

    /// Ends a call by BYE to both ends. Kamailio names a dialog by two numbers.
    pub async fn end_dialog(&self, hash_entry: u32, hash_id: u32) -> Result<(), RpcError> {
        self.call("dlg.end_dlg", &[json!(hash_entry), json!(hash_id)], LOOK).await.map(drop)
    }

    /// How many calls are up.
    pub async fn dialogs(&self) -> Result<Dialogs, RpcError> {
        let method = "dlg.stats_active";
        let answer = self.call(method, &[], LOOK).await?;
        let number = |key: &str| answer[key].as_u64().ok_or_else(|| garbled(method, &answer));
        Ok(Dialogs {
            early: number("starting")? + number("connecting")?,
            confirmed: number("answering")? + number("ongoing")?,
        })
    }
}

fn addresses(
    method: &str,
    answer: &Value,
    place: impl Fn(IpAddr, &Value) -> Option<Place>,
) -> Result<Vec<Address>, RpcError> {
    let read = |row: &Value| {
        let item = &row["item"];
        let tag = item["tag"].as_str().filter(|tag| !matches!(*tag, "" | "NULL")).map(str::to_owned);
        let place = place(item["ip"].as_str()?.parse().ok()?, item)?;
        Some(Address { group: group(&row["group"])?, place, tag })
    };
    // An empty table is an empty object.
    let rows = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    let read: Option<Vec<_>> = rows.iter().map(read).collect();
    read.ok_or_else(|| garbled(method, answer))
}

fn group(value: &Value) -> Option<i32> {
    i32::try_from(value.as_i64()?).ok()
}

fn held(answer: &Value) -> Option<Vec<Held>> {
    let mut all = Vec::new();
    for record in answer["RECORDS"].as_array()? {
        let set = group(&record["SET"]["ID"])?;
        for target in record["SET"]["TARGETS"].as_array()? {
            let target = &target["DEST"];
            let attrs = target["ATTRS"]["BODY"].as_str().map(str::to_owned);
            let (uri, state) = (target["URI"].as_str()?.to_owned(), target["FLAGS"].as_str()?.to_owned());
            all.push(Held { set, uri, state, attrs });
        }
    }
    Some(all)
}

fn text(method: &str, answer: &Value, key: &str) -> Result<String, RpcError> {
    answer[key].as_str().map(str::to_owned).ok_or_else(|| garbled(method, answer))
}

fn garbled(method: &str, answer: &Value) -> RpcError {
    let text = answer.to_string();
    let detail = text.chars().take(200).collect();
    RpcError::Garbled { method: method.to_owned(), detail }
}
