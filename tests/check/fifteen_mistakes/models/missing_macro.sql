SELECT
    person_id,
    {{ normalise_email('email') }} AS email
FROM {{ ref('sound') }}
