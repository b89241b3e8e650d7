SELECT visitor
FROM {{ source('web', 'pageviews') }}
