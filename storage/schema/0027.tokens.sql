-- Tokens of the devices that positions come from by HTTP where an app knows no password.

ALTER TABLE broker_credential
  ADD COLUMN token_hash bytea
    CONSTRAINT broker_credential_token_whole CHECK (octet_length(token_hash) = 32),
  ADD CONSTRAINT broker_credential_token_of_a_van CHECK (token_hash IS NULL OR role = 'van');
CREATE UNIQUE INDEX broker_credential_token_once ON broker_credential (token_hash)
  WHERE token_hash IS NOT NULL;
COMMENT ON COLUMN broker_credential.token_hash IS
  'SHA-256 of 120 random bits that open the way in for positions by HTTP and nothing else, for apps that'
  ' send a device identifier and no password; NULL for credentials older than that.';
