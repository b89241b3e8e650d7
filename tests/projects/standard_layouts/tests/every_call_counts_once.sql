WITH found AS (
    SELECT 'events' AS kind, count(*) AS calls, sum(deliveries) AS deliveries FROM {{ ref('stg_events') }}
)

SELECT *
FROM found
WHERE calls <> 6 OR deliveries <> 12
