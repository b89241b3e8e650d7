SELECT
    person_id,
    born_on + true AS next_day
FROM {{ ref('sound') }}
