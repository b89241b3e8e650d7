SELECT {{ money.euros('amount') }} AS euros
FROM {{ ref('orders') }}
