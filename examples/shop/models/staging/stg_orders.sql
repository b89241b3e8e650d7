SELECT
    order_id,
    {{ kinfold.clean_text('user_id') }} AS user_id,
    {{ kinfold.normalize_email('email') }} AS email,
    {{ kinfold.normalize_phone('phone', '44') }} AS phone,
    {{ kinfold.utc('ordered_at') }} AS ordered_at,
    status,
    category,
    items,
    amount
FROM {{ source('sales', 'orders') }}
