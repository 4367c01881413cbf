use super::super::*;
use crate::aggregate::{DomainEvent, FieldValue, FlatFields};
use crate::money::Currency;
use crate::types::{CodecId, Event, EventId, EventType, Metadata, Sequence, StreamId, Timestamp, Version};

fn usd() -> Currency {
    Currency::from_code("USD").unwrap()
}

/// One of each type, in the order of `PaymentEvent::TYPES`.
fn one_of_each() -> Vec<PaymentEvent> {
    let authorise = GatewayCommand::Authorise;
    vec![
        PaymentStarted {
            payment_id: "p".into(),
            user_id: "u".into(),
            currency: usd(),
            wallet_amount: 1,
            card_amount: 2,
            deadline: Timestamp::from_micros(3),
            settles: true,
        }
        .into(),
        StepCommandPublished {
            step: Step::Charge,
            attempt: 1,
            command_id: authorise.command_id("p", 1),
            idempotency_key: authorise.key("p"),
            amount: 2,
        }
        .into(),
        StepSucceeded { step: Step::Charge, attempt: 1, amount: 2, reference: Some("r".into()) }.into(),
        StepFailed { step: Step::Capture, attempt: 2, kind: FailureKind::Unknown, reason: "x".into() }.into(),
        RetryScheduled { command: GatewayCommand::Capture, attempt: 2, due: Timestamp::from_micros(4) }.into(),
        OutcomeQueried { command: GatewayCommand::Void, attempt: 1, outcome: QueriedOutcome::NotSeen }.into(),
        CompensationInitiated { reason: CompensationReason::Timeout, detail: "d".into() }.into(),
        CompensationStepPublished {
            step: Step::Charge,
            attempt: 1,
            command_id: GatewayCommand::Void.command_id("p", 1),
            idempotency_key: GatewayCommand::Void.key("p"),
        }
        .into(),
        CompensationStepSucceeded { step: Step::Reserve, attempt: 1 }.into(),
        CompensationStepFailed { step: Step::Charge, attempt: 1, kind: FailureKind::Permanent, reason: "x".into() }
            .into(),
        PaymentCompleted { wallet_amount: 1, card_amount: 2 }.into(),
        PaymentCompensated { reason: CompensationReason::StepFailed, detail: "d".into() }.into(),
        PaymentRejected { reason: "x".into() }.into(),
        PaymentParkedForReview { reason: "x".into() }.into(),
        PaymentResumed { recovery_id: "r".into(), in_doubt: Some(GatewayCommand::Capture) }.into(),
        DeadlineScheduled { deadline: Timestamp::from_micros(5), reason: "x".into() }.into(),
        DeadlineReached { deadline: Timestamp::from_micros(5) }.into(),
        OperatorCancelled { operator: "o".into(), reason: "x".into() }.into(),
        OperatorRetried { operator: "o".into(), reason: "x".into() }.into(),
        OperatorResolved { operator: "o".into(), reason: "x".into(), resolution: Resolution::Compensated }.into(),
        LateSuccessDetected { reference: "r".into(), amount: 2 }.into(),
        RefundPublished {
            attempt: 1,
            command_id: GatewayCommand::Refund.command_id("p", 1),
            idempotency_key: GatewayCommand::Refund.key("p"),
            amount: 2,
        }
        .into(),
        RefundSucceeded { attempt: 1, amount: 2, reference: "r".into() }.into(),
        RefundFailed { attempt: 1, kind: FailureKind::Offline, reason: "x".into() }.into(),
        OfflineAccepted { amount: 2, upload_by: Timestamp::from_micros(6) }.into(),
    ]
}

fn stored(event: &PaymentEvent) -> Event {
    Event {
        sequence: Sequence::FIRST,
        stream: StreamId::new("payment-p").unwrap(),
        version: Version::FIRST,
        id: EventId::from_bytes([0; 16]),
        event_type: EventType::new(event.event_type()).unwrap(),
        schema_version: event.schema_version(),
        codec: event.codec(),
        timestamp: Timestamp::EPOCH,
        tags: Vec::new(),
        metadata: Metadata::default(),
        payload: event.encode().unwrap(),
    }
}

#[test]
fn every_type_has_golden_bytes_and_is_read_back() {
    let events = one_of_each();
    let types: Vec<&str> = events.iter().map(DomainEvent::event_type).collect();
    assert_eq!(types, PaymentEvent::TYPES, "one of each type");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let written: Vec<String> = events.iter().map(|event| hex(&event.encode().unwrap())).collect();
    assert_eq!(written, GOLDEN);
    for event in &events {
        assert_eq!(event.codec(), CodecId::BINCODE);
        assert_eq!(PaymentEvent::decode(&stored(event)).unwrap(), *event);
    }
}

/// In the order of `PaymentEvent::TYPES`.
const GOLDEN: [&str; 25] = [
    "017001750355534402040601",
    "010110d55ae55fc668553ab76ee4b2996b8e940b702f617574686f7269736504",
    "010104010172",
    "0202020178",
    "010208",
    "020102",
    "000164",
    "0101101e260f98780f5d7a874826450e9ab7e506702f766f6964",
    "0001",
    "0101010178",
    "0204",
    "010164",
    "0178",
    "0178",
    "01720101",
    "0a0178",
    "0a",
    "016f0178",
    "016f0178",
    "016f017801",
    "017204",
    "0110c285a19c4e8a5a7685ba8f9d36b0248a08702f726566756e6404",
    "01040172",
    "01030178",
    "040c",
];

/// Goal: what was written before payments settled stays readable. Method: the bytes of schema version 1, as they were written.
#[test]
fn a_payment_that_began_under_schema_version_1_is_read_and_does_not_settle() {
    let now = one_of_each()[0].clone();
    assert_eq!(now.schema_version(), 2);
    let old =
        Event { schema_version: 1, payload: vec![1, 0x70, 1, 0x75, 3, 0x55, 0x53, 0x44, 2, 4, 6], ..stored(&now) };
    let PaymentEvent::PaymentStarted(new) = now else { panic!("it begins") };
    assert_eq!(PaymentEvent::decode(&old).unwrap(), PaymentStarted { settles: false, ..new }.into());
    // The bytes of one version are none of the other.
    let mixed = Event { schema_version: 2, ..old };
    assert_eq!(PaymentEvent::decode(&mixed).unwrap_err().kind(), crate::ErrorKind::UnknownPayload);
}

/// Goal: what stands in a stored event by its place stays where it is. Method: each name with its byte.
#[test]
fn the_words_of_events_have_fixed_places() {
    fn places<T: serde::Serialize>(words: &[T]) -> Vec<u8> {
        words.iter().flat_map(|word| crate::codec::encode(word).unwrap()).collect()
    }
    assert_eq!(places(&[Step::Reserve, Step::Charge, Step::Capture, Step::Settle]), [0, 1, 2, 3]);
    assert_eq!(places(&GatewayCommand::ALL), [0, 1, 2, 3, 4]);
    let kinds = [FailureKind::Retryable, FailureKind::Permanent, FailureKind::Unknown, FailureKind::Offline];
    assert_eq!(places(&kinds), [0, 1, 2, 3]);
    use QueriedOutcome::{Approved, Declined, NotSeen, Offline, Unknown};
    assert_eq!(places(&[Approved, Declined, NotSeen, Unknown, Offline]), [0, 1, 2, 3, 4]);
    use CompensationReason::{Cancelled, Operator, StepFailed, Timeout};
    assert_eq!(places(&[Timeout, StepFailed, Cancelled, Operator]), [0, 1, 2, 3]);
    assert_eq!(places(&[Resolution::Completed, Resolution::Compensated]), [0, 1]);
}

#[test]
fn an_unknown_type_schema_or_codec_is_named_and_not_guessed() {
    let mut unknown_type = stored(&one_of_each()[0]);
    unknown_type.event_type = EventType::new("PaymentDreamt").unwrap();
    let mut newer = stored(&one_of_each()[0]);
    newer.schema_version = 3;
    let mut other_codec = stored(&one_of_each()[0]);
    other_codec.codec = CodecId::JSON;
    for (event, name) in [(unknown_type, "PaymentDreamt"), (newer, "schema version 3"), (other_codec, "codec 2")] {
        let error = PaymentEvent::decode(&event).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::UnknownPayload);
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn printed_fields_are_flat_named_once_and_amounts_are_integers() {
    for event in one_of_each() {
        let fields = event.fields();
        let mut names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "{event:?}");
        for (name, value) in &fields {
            if name.ends_with("amount") {
                assert!(matches!(value, FieldValue::Integer(_)), "{event:?}");
            }
        }
    }
    let started = one_of_each()[0].fields();
    assert!(started.contains(&("amount", FieldValue::Integer(3))), "both parts together");
    assert!(started.contains(&("currency", FieldValue::Text("USD".into()))));
}
