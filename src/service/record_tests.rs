use super::*;
use crate::types::{CodecId, EventId, EventType, Sequence, Timestamp, Version};

fn started() -> RecoveryEvent {
    RecoveryEvent::RecoveryStarted(RecoveryStarted {
        recovery_id: "r7".into(),
        trigger: "open".into(),
        reason: String::new(),
        strategy: "full".into(),
        services: vec!["wallets".into(), "payments".into()],
        deadlines_extended_by_micros: 7,
    })
}

fn finding() -> RecoveryEvent {
    RecoveryEvent::RecoveryFinding(RecoveryFinding {
        recovery_id: "r7".into(),
        stream: "wallet-a".into(),
        kind: "unreadable".into(),
        detail: "x".into(),
        is_quarantined: true,
    })
}

fn completed() -> RecoveryEvent {
    RecoveryEvent::RecoveryCompleted(RecoveryCompleted {
        recovery_id: "r7".into(),
        phases: vec![RecordedPhase { phase: "complete".into(), count: 2, elapsed_ms: 300 }],
        restored: 5,
        sagas: vec![RecordedDecision { decision: "resumed".into(), sagas: 1 }],
        findings: 1,
        is_ready: true,
    })
}

#[test]
fn golden_bytes_of_the_events_of_a_recovery() {
    let expected: [(RecoveryEvent, &[u8]); 3] = [
        (started(), b"\x02r7\x04open\x00\x04full\x02\x07wallets\x08payments\x07"),
        (finding(), b"\x02r7\x08wallet-a\x0aunreadable\x01x\x01"),
        (completed(), b"\x02r7\x01\x08complete\x02\xfb\x2c\x01\x05\x01\x07resumed\x01\x01\x01"),
    ];
    for (fact, bytes) in expected {
        assert_eq!(fact.encode().unwrap(), bytes, "{fact:?}");
        let event = Event {
            sequence: Sequence::FIRST,
            stream: StreamId::new(RECOVERY_STREAM).unwrap(),
            version: Version::FIRST,
            id: EventId::from_bytes([1; 16]),
            event_type: EventType::new(fact.event_type()).unwrap(),
            schema_version: fact.schema_version(),
            codec: CodecId::BINCODE,
            timestamp: Timestamp::EPOCH,
            tags: Vec::new(),
            metadata: Metadata::default(),
            payload: bytes.to_vec(),
        };
        assert_eq!(RecoveryEvent::decode(&event).unwrap(), fact);
        let newer = Event { schema_version: 2, ..event };
        assert_eq!(RecoveryEvent::decode(&newer).unwrap_err().kind(), crate::ErrorKind::UnknownPayload);
    }
}

#[test]
fn the_fields_of_the_events_of_a_recovery_are_flat() {
    let text = |fact: &RecoveryEvent, name: &str| {
        let fields = fact.fields();
        fields.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value).unwrap()
    };
    assert_eq!(text(&started(), "services"), FieldValue::Text("wallets,payments".into()));
    assert_eq!(text(&finding(), "is_quarantined"), FieldValue::Bool(true));
    assert_eq!(text(&completed(), "phases"), FieldValue::Text("complete=2 in 300 ms".into()));
    assert_eq!(text(&completed(), "sagas"), FieldValue::Text("resumed=1".into()));
}
