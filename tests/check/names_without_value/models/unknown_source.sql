SELECT 1 AS one
FROM {{ source('web', 'events') }}
