SELECT
    email_event_id,
    {{ kinfold.normalize_email('email') }} AS email,
    campaign,
    event,
    {{ kinfold.utc('occurred_at') }} AS occurred_at
FROM {{ source('email', 'events') }}
