-- The tablet, and the apps that people have: who waits for the commit of what came by HTTP, what was done
-- at a visit and who signed for it, what base and vans write to one another.

CREATE TABLE awaited (
  message_id bytea PRIMARY KEY
    CONSTRAINT awaited_id_whole CHECK (octet_length(message_id) = 16),
  asked_time timestamptz NOT NULL,
  committed_time timestamptz
);
CREATE INDEX awaited_open ON awaited (message_id) WHERE committed_time IS NULL;
COMMENT ON TABLE awaited IS
  'Messages that came by HTTP and went on to the broker, until somebody who waits has heard that ingest'
  ' has committed them; kept for a day. Times are those of the machine.';
COMMENT ON COLUMN awaited.message_id IS 'Of topic and bytes, as in rejected: storage/message_id.py.';

ALTER TABLE outbox ADD COLUMN is_passing boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN outbox.is_passing IS
  'What a van or a warehouse said by HTTP, on its way to the broker: deleted once the broker has it.';

-- --- What was done at a visit, and who signed for it ----------------------------------------------

CREATE TABLE visit_report (
  device text COLLATE "C" NOT NULL,
  epoch text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  payload_hash bigint NOT NULL,
  van_id integer NOT NULL REFERENCES van,
  t timestamptz NOT NULL,
  site text NOT NULL,
  stop_id integer,
  work text NOT NULL,
  work_order text,
  author text,
  signer text,
  signer_role text,
  signature_svg text,
  signature_png bytea
    CONSTRAINT visit_report_png_small CHECK (octet_length(signature_png) <= 20000),
  is_absent boolean NOT NULL,
  received_time timestamptz NOT NULL,
  report_id text COLLATE "C" NOT NULL
    GENERATED ALWAYS AS (md5(device || '/' || epoch || '/' || seq)) STORED,
  PRIMARY KEY (device, epoch, seq, payload_hash),
  CONSTRAINT visit_report_signed_or_absent CHECK (
    num_nonnulls(signature_svg, signature_png) = CASE WHEN is_absent THEN 0 ELSE 1 END
    AND (signer IS NULL) = is_absent)
);
CREATE INDEX visit_report_by_id ON visit_report (report_id);
CREATE INDEX visit_report_by_van ON visit_report (van_id, t);
CREATE INDEX visit_report_by_time ON visit_report (t);
COMMENT ON TABLE visit_report IS
  'What tablets said of visits, as it came. Two payloads under one (device, epoch, seq) are both set aside.';
COMMENT ON COLUMN visit_report.report_id IS 'The key in one word, for links.';
COMMENT ON COLUMN visit_report.t IS 'When it was signed, by the tablet''s clock.';
COMMENT ON COLUMN visit_report.site IS 'The code that the tablet gave; it may be imported later.';
COMMENT ON COLUMN visit_report.stop_id IS 'The stop that the tablet had in mind, if there is one still.';
COMMENT ON COLUMN visit_report.author IS 'Who did the work, as the tablet said.';
COMMENT ON COLUMN visit_report.signature_svg IS 'Path data in a box 600 wide and 200 high.';

CREATE VIEW sound_visit_report AS
SELECT * FROM visit_report AS said
WHERE NOT EXISTS (
  SELECT FROM visit_report AS other
  WHERE (other.device, other.epoch, other.seq) = (said.device, said.epoch, said.seq)
    AND other.payload_hash <> said.payload_hash);
COMMENT ON VIEW sound_visit_report IS 'Reports whose key has one payload only.';

CREATE VIEW reported_visit AS
SELECT said.*, van.organisation_id, site.site_id, visit.arrived_at,
       coalesce(visit.stop_id, planned.stop_id) AS planned_stop_id
FROM sound_visit_report AS said
JOIN van USING (van_id)
LEFT JOIN site ON (site.organisation_id, site.code) = (van.organisation_id, said.site)
LEFT JOIN LATERAL (
  SELECT arrived_at, stop_id FROM visit
  WHERE visit.van_id = said.van_id AND visit.site_id = site.site_id
    AND verdict = 'visit' AND shadowed_by IS NULL
    AND arrived_at BETWEEN said.t - INTERVAL '3 days' AND said.t + INTERVAL '15 minutes'
    AND (left_at IS NULL OR left_at >= said.t - INTERVAL '12 hours')
  ORDER BY greatest(arrived_at - said.t, said.t - left_at, INTERVAL '0'), arrived_at DESC LIMIT 1
) AS visit ON true
LEFT JOIN stop AS planned ON (planned.stop_id, planned.site_id) = (said.stop_id, site.site_id);
COMMENT ON VIEW reported_visit IS
  'Each report with the visit it belongs to: the van''s visit at that site that is nearest in time, from 15'
  ' minutes before its arrival to 12 hours after it left; arrived_at is NULL where there is none.';

-- --- What base and vans write to one another ------------------------------------------------------

CREATE SEQUENCE message_number;
COMMENT ON SEQUENCE message_number IS
  'Numbers messages of both sides in the order of their commits: whoever takes one holds a lock.';

CREATE TABLE message (
  van_id integer NOT NULL REFERENCES van,
  message_id text COLLATE "C" NOT NULL,
  kind text NOT NULL CHECK (kind IN ('message', 'count_request', 'order_news')),
  author text,
  author_name text,
  text text NOT NULL,
  order_code text,
  items text[] NOT NULL DEFAULT '{}',
  in_reply_to text COLLATE "C",
  sent_at timestamptz NOT NULL,
  number bigint NOT NULL DEFAULT nextval('message_number'),
  PRIMARY KEY (van_id, message_id),
  CONSTRAINT message_author_named CHECK ((author IS NULL) = (author_name IS NULL))
);
CREATE INDEX message_by_time ON message (sent_at);
CREATE INDEX message_by_number ON message (number);
COMMENT ON TABLE message IS 'What the base has said to a van: to its inbox by MQTT, and to who asks by HTTP.';
COMMENT ON COLUMN message.author IS
  'user:LOGIN or machine:CLIENT, also after the account is gone; NULL: Cordée itself.';

CREATE TABLE van_message (
  device text COLLATE "C" NOT NULL,
  epoch text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  payload_hash bigint NOT NULL,
  van_id integer NOT NULL REFERENCES van,
  t timestamptz NOT NULL,
  text text,
  in_reply_to text COLLATE "C",
  delivered text[] NOT NULL,
  read text[] NOT NULL,
  author text,
  received_time timestamptz NOT NULL,
  read_at timestamptz,
  reader text,
  number bigint NOT NULL DEFAULT nextval('message_number'),
  message_id text COLLATE "C" NOT NULL
    GENERATED ALWAYS AS (md5(device || '/' || epoch || '/' || seq)) STORED,
  PRIMARY KEY (device, epoch, seq, payload_hash),
  CONSTRAINT van_message_says_something
    CHECK (text IS NOT NULL OR cardinality(delivered) + cardinality(read) > 0),
  CONSTRAINT van_message_reader_named CHECK ((read_at IS NULL) = (reader IS NULL))
);
CREATE INDEX van_message_by_id ON van_message (message_id);
CREATE INDEX van_message_by_time ON van_message (t);
CREATE INDEX van_message_by_number ON van_message (number) WHERE text IS NOT NULL;
CREATE INDEX van_message_unread ON van_message (van_id) WHERE text IS NOT NULL AND read_at IS NULL;
CREATE INDEX van_message_receipts ON van_message USING gin (delivered, read);
COMMENT ON TABLE van_message IS
  'What tablets wrote to the base, and which of its messages they got, as it came. Two payloads under one'
  ' (device, epoch, seq) are both set aside.';
COMMENT ON COLUMN van_message.delivered IS 'Ids of messages of the base that have come to the tablet.';
COMMENT ON COLUMN van_message.read IS 'Ids of messages of the base that the technician has read.';
COMMENT ON COLUMN van_message.read_at IS 'When somebody of the base has read it, by the base''s clock.';
COMMENT ON COLUMN van_message.message_id IS 'The key in one word, for links.';

CREATE VIEW sound_van_message AS
SELECT * FROM van_message AS said
WHERE NOT EXISTS (
  SELECT FROM van_message AS other
  WHERE (other.device, other.epoch, other.seq) = (said.device, said.epoch, said.seq)
    AND other.payload_hash <> said.payload_hash);
COMMENT ON VIEW sound_van_message IS 'Messages and receipts of tablets whose key has one payload only.';

CREATE VIEW conversation AS
SELECT said.van_id, said.message_id, said.number, true AS is_from_base, said.kind, said.author_name,
       said.text, said.order_code, said.items, said.in_reply_to, said.sent_at,
       (SELECT min(t) FROM sound_van_message AS got
        WHERE got.van_id = said.van_id
          AND (got.delivered @> ARRAY[said.message_id] OR got.read @> ARRAY[said.message_id])
       ) AS delivered_at,
       (SELECT min(t) FROM sound_van_message AS got
        WHERE got.van_id = said.van_id AND got.read @> ARRAY[said.message_id]) AS read_at
FROM message AS said
UNION ALL
SELECT said.van_id, said.message_id, said.number, false, 'message',
       coalesce(said.author, technician.name), said.text, NULL, '{}', said.in_reply_to, said.t,
       said.received_time, said.read_at
FROM sound_van_message AS said
JOIN van USING (van_id)
LEFT JOIN technician USING (technician_id)
WHERE said.text IS NOT NULL;
COMMENT ON VIEW conversation IS
  'Messages of both sides. One of the base is delivered and read when a tablet says so, one of a van is'
  ' delivered when it is stored.';
