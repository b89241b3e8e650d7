SELECT
    person_id,
    email
FORM {{ ref('sound') }}
