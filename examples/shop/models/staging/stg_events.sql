-- A repeated delivery is the same event: it counts once.
SELECT
    message_id,
    type,
    event,
    {{ kinfold.clean_text('anonymous_id') }} AS anonymous_id,
    {{ kinfold.clean_text('user_id') }} AS user_id,
    {{ kinfold.normalize_email('email') }} AS email,
    path,
    category,
    value,
    campaign,
    {{ kinfold.utc('sent_at') }} AS sent_at
FROM {{ source('web', 'events') }}
WHERE message_id IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY message_id ORDER BY sent_at) = 1
