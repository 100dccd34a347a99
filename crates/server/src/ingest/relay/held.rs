//! Messages in the order of their time.

use std::collections::BTreeMap;
use std::mem;

use ringfence_model::Timestamp;
use ringfence_proto::observer::GetFlowsResponse;

use super::message;

/// How many messages to hold back at most.
const MOST: usize = 20_000;

/// Messages that are held back for a step, because a relay sends what its nodes observe only nearly in the order of
/// time: so that all before a moment can be taken at once, and that moment says how far the relay was read.
#[derive(Debug)]
pub(super) struct Held {
    /// By time, and in the order of their arrival.
    messages: Messages,
    /// Those that came over an earlier connection and may come again.
    earlier: Messages,
    arrived: u64,
    /// The time of the message before.
    last: Timestamp,
    /// The latest time among those that have been held for a step at least, and among the others.
    ripe: Option<Timestamp>,
    unripe: Option<Timestamp>,
}

type Messages = BTreeMap<(Timestamp, u64), GetFlowsResponse>;

impl Held {
    /// None yet. A message that says no time has that of the one before, and the first one this.
    pub(super) fn new(start: Timestamp) -> Self {
        let (messages, earlier) = Default::default();
        Self { messages, earlier, arrived: 0, last: start, ripe: None, unripe: None }
    }

    /// Another connection begins, which tells everything from a moment on once more. What it does not repeat, because
    /// the relay has forgotten it, is held all the same.
    pub(super) fn begin(&mut self, start: Timestamp) {
        self.last = start;
        self.earlier.append(&mut self.messages);
    }

    /// When a message that arrives now was observed.
    pub(super) fn time(&mut self, message: &GetFlowsResponse) -> Timestamp {
        self.last = message::time(message).unwrap_or(self.last);
        self.last
    }

    /// Holds a message back.
    pub(super) fn put(&mut self, time: Timestamp, message: GetFlowsResponse) {
        let mut same_time = self.earlier.range((time, 0)..=(time, u64::MAX));
        if let Some((&key, _)) = same_time.find(|(_, earlier)| **earlier == message) {
            self.earlier.remove(&key);
        }
        self.messages.insert((time, self.arrived), message);
        self.arrived += 1;
        self.unripe = self.unripe.max(Some(time));
    }

    /// Whether no more should be held back.
    pub(super) fn is_full(&self) -> bool {
        self.messages.len() + self.earlier.len() >= MOST
    }

    /// A step ends: gives the latest time among the messages that were there at its beginning.
    pub(super) fn step(&mut self) -> Option<Timestamp> {
        let ripe = self.ripe;
        self.ripe = self.ripe.max(self.unripe.take());
        ripe
    }

    /// The time of the message in the middle.
    pub(super) fn middle(&self) -> Option<Timestamp> {
        self.messages.keys().nth(self.messages.len() / 2).map(|(time, _)| *time)
    }

    /// The latest time of all.
    pub(super) fn latest(&self) -> Option<Timestamp> {
        let latest = |messages: &Messages| messages.keys().next_back().map(|(time, _)| *time);
        latest(&self.messages).max(latest(&self.earlier))
    }

    /// Gives everything from before a moment, in the order of time.
    pub(super) fn take(&mut self, until: Timestamp) -> impl Iterator<Item = GetFlowsResponse> {
        let split = |messages: &mut Messages| {
            let later = messages.split_off(&(until, 0));
            mem::replace(messages, later)
        };
        let mut taken = split(&mut self.earlier);
        // Numbers of arrival are never given twice.
        taken.append(&mut split(&mut self.messages));
        taken.into_values()
    }
}

#[cfg(test)]
mod tests {
    use ringfence_model::Timestamp;
    use ringfence_proto::flow::Flow;
    use ringfence_proto::observer::GetFlowsResponse;
    use ringfence_proto::observer::get_flows_response::ResponseTypes;

    use super::super::message::wire;
    use super::Held;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_secs(second)
    }

    fn message(second: i64, node: &str) -> GetFlowsResponse {
        let flow = Flow { node_name: node.into(), ..Flow::default() };
        let (time, response_types) = (Some(wire(at(second))), Some(ResponseTypes::Flow(flow)));
        GetFlowsResponse { response_types, time }
    }

    fn put(held: &mut Held, messages: &[(i64, &str)]) {
        for (second, node) in messages {
            let message = message(*second, node);
            let time = held.time(&message);
            held.put(time, message);
        }
    }

    fn take(held: &mut Held, until: i64) -> Vec<(i64, String)> {
        let taken = held.take(at(until)).map(|message| {
            let Some(ResponseTypes::Flow(flow)) = message.response_types else { unreachable!() };
            (message.time.expect("it has one").seconds, flow.node_name)
        });
        taken.collect()
    }

    fn told(messages: &[(i64, &str)]) -> Vec<(i64, String)> {
        messages.iter().map(|(second, node)| (*second, (*node).to_owned())).collect()
    }

    #[test]
    fn what_was_there_for_a_step_is_ripe() {
        let mut held = Held::new(at(0));
        put(&mut held, &[(3, "a"), (1, "b")]);
        assert_eq!(held.step(), None);
        put(&mut held, &[(2, "b"), (5, "a")]);
        assert_eq!(held.step(), Some(at(3)));
        assert_eq!(take(&mut held, 4), told(&[(1, "b"), (2, "b"), (3, "a")]));
        assert_eq!(held.step(), Some(at(5)));
        assert_eq!(held.latest(), Some(at(5)));
        let untimed = GetFlowsResponse::default();
        assert_eq!(held.time(&untimed), at(5), "as the one before");
    }

    #[test]
    fn what_comes_over_two_connections_is_there_once() {
        let mut held = Held::new(at(0));
        put(&mut held, &[(1, "a"), (1, "a"), (2, "a"), (3, "b")]);
        held.begin(at(0));
        // One of three that came is repeated with its like, one is new, and one is forgotten.
        put(&mut held, &[(1, "a"), (1, "a"), (1, "c"), (3, "b")]);
        let expected = told(&[(1, "a"), (1, "a"), (1, "c"), (2, "a"), (3, "b")]);
        assert_eq!(take(&mut held, 9), expected);
    }
}
