-- Where the names of gateways lead: the last good answer of the name servers, so that a start needs none.

CREATE TABLE gateway_addresses (
    trunk_id TEXT NOT NULL REFERENCES trunks (trunk_id) ON DELETE CASCADE,
    uri TEXT NOT NULL, -- of the gateway
    address TEXT NOT NULL, -- sip:address[:port][;transport=...]
    tier INTEGER NOT NULL, -- lower is tried first
    weight INTEGER NOT NULL CHECK (weight BETWEEN 1 AND 65535),
    PRIMARY KEY (trunk_id, uri, address)
) STRICT, WITHOUT ROWID;

-- A name has a letter or a hyphen in it, an address has none or stands in brackets.
CREATE INDEX origination_uris_named ON origination_uris (trunk_id, uri)
    WHERE substr(uri, 5, 1) != '[' AND substr(uri, 5, instr(uri || ';', ';') - 5) GLOB '*[a-z-]*';
