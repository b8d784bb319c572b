-- What vans say, and what follows from it. A fix is keyed by (van, its own time), so that a repeat
-- is the same row, whenever and however often it arrives.

CREATE TABLE fix (
  van_id integer NOT NULL,
  fix_time timestamptz NOT NULL,
  latitude_deg double precision NOT NULL,
  longitude_deg double precision NOT NULL,
  horizontal_accuracy_m real,
  speed_mps real,
  bearing_deg real,
  ignition boolean,
  odometer_m double precision,
  battery_pct real,
  payload_hash bigint NOT NULL,
  received_time timestamptz NOT NULL,
  PRIMARY KEY (van_id, fix_time)
);
COMMENT ON TABLE fix IS 'One GPS position (WGS 84). A hypertable where the server has TimescaleDB.';
COMMENT ON COLUMN fix.payload_hash IS
  'Of two fixes with one key the better accuracy wins, then the greater hash: order plays no part.';

CREATE TABLE van_position (
  van_id integer PRIMARY KEY REFERENCES van,
  fix_time timestamptz NOT NULL,
  latitude_deg double precision NOT NULL,
  longitude_deg double precision NOT NULL,
  speed_mps real,
  bearing_deg real,
  ignition boolean,
  received_time timestamptz NOT NULL
);
COMMENT ON TABLE van_position IS 'The newest fix of each van, by its own time.';

CREATE TABLE van_status (
  van_id integer PRIMARY KEY REFERENCES van,
  status_time timestamptz NOT NULL,
  state text NOT NULL CHECK (state IN ('online', 'offline')),
  duty text CHECK (duty IN ('on', 'off'))
);
COMMENT ON TABLE van_status IS 'The newest status of each van, by its own time.';

CREATE TABLE van_progress (
  van_id integer PRIMARY KEY REFERENCES van,
  through timestamptz NOT NULL,
  state jsonb NOT NULL
);
COMMENT ON TABLE van_progress IS
  'Where the visit engine stands: a cache that reading the fixes again would rebuild.';

CREATE TABLE visit (
  van_id integer NOT NULL REFERENCES van,
  site_id integer NOT NULL REFERENCES site,
  arrived_at timestamptz NOT NULL,
  last_inside_at timestamptz NOT NULL,
  left_at timestamptz,
  closed_by timestamptz,
  verdict text NOT NULL CHECK (verdict IN ('visit', 'pass', 'undecided')),
  uncertain boolean NOT NULL,
  ignition_off boolean NOT NULL,
  distance_m_mean double precision NOT NULL,
  shadowed_by integer,
  service_date date NOT NULL,
  stop_id integer REFERENCES stop ON DELETE SET NULL,
  punctuality text CHECK (punctuality IN ('early', 'on_time', 'late', 'unplanned', 'repeated')),
  PRIMARY KEY (van_id, site_id, arrived_at)
);
CREATE INDEX visit_by_van ON visit (van_id, arrived_at);
CREATE INDEX visit_by_site ON visit (site_id, arrived_at);
CREATE INDEX visit_by_arrival ON visit (arrived_at);
CREATE INDEX visit_open ON visit (van_id) WHERE closed_by IS NULL;
CREATE INDEX visit_by_stop ON visit (stop_id) WHERE stop_id IS NOT NULL;
COMMENT ON TABLE visit IS 'A run of fixes inside one site, judged: a visit, a pass, or still undecided.';
COMMENT ON COLUMN visit.closed_by IS 'The fix that proves the departure; later fixes cannot change it.';
COMMENT ON COLUMN visit.uncertain IS 'More than 5 minutes between last_inside_at and left_at.';
COMMENT ON COLUMN visit.shadowed_by IS 'The site whose overlapping run is the visit instead.';

CREATE TABLE alert (
  alert_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  van_id integer NOT NULL REFERENCES van,
  stop_id integer NOT NULL REFERENCES stop ON DELETE CASCADE,
  kind text NOT NULL CHECK (kind IN ('late')),
  due_at timestamptz NOT NULL,
  arrived_at timestamptz,
  state text NOT NULL CHECK (state IN ('open', 'cleared', 'withdrawn')),
  reason text NOT NULL,
  told boolean NOT NULL DEFAULT false,
  raised_time timestamptz NOT NULL,
  changed_time timestamptz NOT NULL
);
COMMENT ON COLUMN alert.told IS 'Planners were sent it: it was news when it was raised.';
CREATE UNIQUE INDEX alert_one_live ON alert (stop_id, kind) WHERE state <> 'withdrawn';
CREATE INDEX alert_by_van ON alert (van_id, due_at);
COMMENT ON TABLE alert IS
  'Something a planner should know. due_at, arrived_at and state are facts; the times say when we knew.';

-- TimescaleDB, where the server offers it: chunks by day, compressed once nothing late is expected,
-- dropped after two months. Plain PostgreSQL gives the same rows from the same statements.
DO $$
BEGIN
  IF current_setting('shared_preload_libraries') LIKE '%timescaledb%'
     AND EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb') THEN
    CREATE EXTENSION IF NOT EXISTS timescaledb;
    PERFORM create_hypertable('fix', by_range('fix_time', INTERVAL '1 day'),
                              create_default_indexes => false);
    ALTER TABLE fix SET (timescaledb.compress,
                         timescaledb.compress_segmentby = 'van_id',
                         timescaledb.compress_orderby = 'fix_time');
    PERFORM add_compression_policy('fix', INTERVAL '8 days');
    PERFORM add_retention_policy('fix', INTERVAL '2 months');
  END IF;
END
$$;
