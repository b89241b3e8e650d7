-- name: materialize.identity_rows
-- invariant: the rows of an identity model as text and microseconds, whatever types the user chose
-- parameter: {link}, {weight}: columns that the model may have, or null
SELECT
    CAST(source AS VARCHAR) AS source,
    CAST(record_id AS VARCHAR) AS record_id,
    CAST(id_type AS VARCHAR) AS id_type,
    CAST(id_value AS VARCHAR) AS id_value,
    arrow_cast(CAST(observed_at AS TIMESTAMP), 'Timestamp(µs)') AS observed_at,
    CAST({link} AS VARCHAR) AS link,
    CAST({weight} AS DOUBLE) AS weight
FROM kinfold._run.query
