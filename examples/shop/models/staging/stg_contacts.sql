-- The export has a contact again when it changed: the latest version counts.
SELECT
    contact_id,
    {{ kinfold.clean_text('user_id') }} AS user_id,
    {{ kinfold.normalize_email('email') }} AS email,
    {{ kinfold.normalize_phone('phone', '44') }} AS phone,
    {{ kinfold.clean_name('first_name') }} AS first_name,
    {{ kinfold.clean_name('last_name') }} AS last_name,
    {{ kinfold.clean_text('city') }} AS city,
    {{ kinfold.clean_text('country') }} AS country,
    {{ kinfold.utc('created_at') }} AS created_at,
    {{ kinfold.utc('updated_at') }} AS updated_at
FROM {{ source('crm', 'contacts') }}
WHERE contact_id IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY contact_id ORDER BY updated_at DESC, created_at) = 1
