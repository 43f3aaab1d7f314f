//! What dispatcher has found out about its destinations, carried over a reload: reading the table anew would take every dead
//! gateway for a living one.
//!
//! Must never bring a state to a gateway that is another's: a trunk and a URI name it, whatever set it stands in now.

use std::collections::HashMap;

use super::commands::Held;
use super::rows;
use super::rpc::{Client, RpcError};

/// What a destination is in right after its row was read: active, not probed.
const FRESH: &str = "AX";

/// States that a reload would lose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct States(HashMap<(i32, String), String>);

impl States {
    /// Those of a list.
    pub fn of(held: &[Held]) -> States {
        let lost = held.iter().filter(|row| row.set != rows::MARK_SET && row.state != FRESH);
        States(lost.map(|row| (key(row), row.state.to_ascii_lowercase())).collect())
    }

    /// Whether there is nothing to carry over.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives the states back to those of `held` that had one. How many that were.
    pub async fn restore(&self, client: &Client, held: &[Held]) -> Result<usize, RpcError> {
        let mut restored = 0;
        for row in held {
            if let Some(state) = self.0.get(&key(row)) {
                client.set_state(row.set, &row.uri, state).await?;
                restored += 1;
            }
        }
        Ok(restored)
    }
}

fn key(row: &Held) -> (i32, String) {
    (row.set / rows::SETS_PER_TRUNK, row.uri.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_fresh_is_carried_over_by_trunk_and_uri() {
        let held =
            |set, uri: &str, state: &str| Held { set, uri: uri.into(), state: state.into(), attrs: None };
        let states = States::of(&[
            held(rows::MARK_SET, "sip:mark.invalid", "DX"),
            held(64, "sip:a", "AX"),
            held(65, "sip:b", "IP"),
            held(130, "sip:b", "TP"),
        ]);
        let kept = HashMap::from([
            ((1, "sip:b".to_owned()), "ip".to_owned()),
            ((2, "sip:b".to_owned()), "tp".to_owned()),
        ]);
        assert_eq!(states, States(kept));
    }
}
