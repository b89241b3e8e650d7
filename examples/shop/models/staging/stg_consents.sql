SELECT
    consent_id,
    {{ kinfold.normalize_email('email') }} AS email,
    purpose,
    status,
    channel,
    {{ kinfold.utc('changed_at') }} AS changed_at
FROM {{ source('email', 'consents') }}
