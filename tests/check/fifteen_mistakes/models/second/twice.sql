-- The same name as models/first/twice.sql.
SELECT email FROM {{ ref('people') }}
