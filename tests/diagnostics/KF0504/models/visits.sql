SELECT visitor FROM {{ source('web', 'page_views') }}
